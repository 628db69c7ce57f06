/* Inside lib/pg only. */
#ifndef LEAT_LIB_PG_H
#define LEAT_LIB_PG_H

#include <libpq-fe.h>

struct leat_pg_result;

/* Takes the result. */
struct leat_pg_result *leat_pg_result_wrap(PGresult *result);

#endif
