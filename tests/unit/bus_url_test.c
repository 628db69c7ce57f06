#include "leat/bus.h"

#include <criterion/criterion.h>

Test(bus_url, is_shown_as_given_without_what_opens_the_door)
{
	static const char *const cases[][2] = {
		{"nats://127.0.0.1:4222", "nats://127.0.0.1:4222"},
		{"127.0.0.1:4222", "127.0.0.1:4222"},
		{"", ""},
		{"nats://me:secret@host:4222", "nats://host:4222"},
		{"me:secret@host:4222", "host:4222"},
		{"tls://token@[::1]:4222", "tls://[::1]:4222"},
		{"nats://a:1,nats://b:2", "nats://a:1,nats://b:2"},
		{"a:1, b:2", "a:1, b:2"},
		{"nats://me:secret@a:1,nats://b:2, tls://token@c:3", "nats://a:1,nats://b:2, tls://c:3"},
		{"nats://me:se@cr,et@a:1,nats://b:2", "nats://a:1,nats://b:2"},
		{"nats://me:se,cret@a:1", "nats://a:1"},
		{"nats://me:a://secret@a:1", "nats://a:1"},
		{"a:1,token@b:2", "b:2"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
		leat_bus_show_urls(&shown, cases[i][0]);
		cr_expect_str_eq(leat_buf_text(&shown), cases[i][1]);
	}
}
