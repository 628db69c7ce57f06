/* Where answers to queries may go: to whoever asks, never to a subject that Leat or the server acts on. */
#include "../../lib/lane/query.h"

#include <criterion/criterion.h>

Test(query_reply, an_inbox_is_answered_and_subjects_of_leat_and_the_server_are_not)
{
	static const char *const good[] = {"_INBOX.abc.1", "_R_.x.y", "my.inbox", "leather.1"};
	static const char *const bad[] = {"", "$JS.API.STREAM.PURGE.LEAT_ENTITY", "$SYS.REQ.SERVER.PING", "leat.event.x.entity.1",
		"leat.intent.x.engine.interaction.expire", "leat.dead.unroutable", "leat.reply.x.1", "leat.query.x.user.entity.get"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(query_may_reply(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(query_may_reply(bad[i]), "%s", bad[i]);
}
