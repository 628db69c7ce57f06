/* Inside lib/pg only. */
#ifndef LEAT_LIB_PG_H
#define LEAT_LIB_PG_H

#include <libpq-fe.h>
#include <stdint.h>

#define LEAT_PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01, from which Postgres counts, since 1970 */

struct leat_pg_result;

/* Takes the result. */
struct leat_pg_result *leat_pg_result_wrap(PGresult *result);

#endif
