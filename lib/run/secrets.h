/* Inside lib/run only: the secrets that were read, as reading and redacting know them. */
#ifndef LEAT_LIB_RUN_SECRETS_H
#define LEAT_LIB_RUN_SECRETS_H

#include "leat/secret.h"
#include "leat/workflow.h"

/* What a value may come back as. The first is the value itself. */
#define SECRET_FORMS 7

struct secret {
	char name[LEAT_SECRET_NAME_BYTES + 1];
	struct secret_form {
		char *text; /* owned, with a '\0' behind it */
		size_t bytes;
	} forms[SECRET_FORMS];
	size_t form_count;
};

struct leat_secrets {
	char *directory;
	char tenant[LEAT_UUID_TEXT_BYTES];
	struct secret *items;
	size_t count;
};

/* The forms of the value that is forms[0]. */
void secret_add_forms(struct secret *secret);

#endif
