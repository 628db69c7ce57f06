/* Positions are sequences here: all of it is the stream's first epoch. */
#include "control.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t control_publish(struct rig *rig, const char *tenant, const char *role, const char *noun_verb, const char *actor, const char *body)
{
	char subject[160];
	char header[64] = "";
	char *json = leat_strdup(body);
	for (char *at = json; (at = strchr(at, '\'')) != NULL;)
		*at = '"';
	snprintf(subject, sizeof subject, "leat.intent.%s.%s.%s", tenant, role, noun_verb);
	if (actor != NULL)
		snprintf(header, sizeof header, "Leat-Actor: %s\r\n", actor);
	uint64_t seq = rig_publish(rig, subject, header, json);
	free(json);
	return seq;
}

char *control_outcome(struct rig *rig, uint64_t seq)
{
	rig_sql_wait(rig, 30, "1", "select count(*) from leat.activity where stream = 'LEAT_CONTROL' and position = %" PRIu64, seq);
	return rig_sql_text(rig,
		"select concat_ws(' ', outcome, code, case outcome when 'rejected' then detail ->> 'message' else detail::text end)"
		" from leat.activity where stream = 'LEAT_CONTROL' and position = %" PRIu64,
		seq);
}

void control_expect(struct rig *rig, const char *expected, uint64_t seq)
{
	char *found = control_outcome(rig, seq);
	cr_assert_eq(strncmp(found, expected, strlen(expected)), 0, "expected %s, found %s", expected, found);
	free(found);
}
