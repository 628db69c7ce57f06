/* A hash for tables in memory: FNV-1a, 64 bits. Not for anything that is stored, nor against who chooses its input. */
#ifndef LEAT_HASH_H
#define LEAT_HASH_H

#include <stdint.h>

uint64_t leat_hash_text(const char *text);

#endif
