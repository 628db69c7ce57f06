#include "leat/buf.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(buf, starts_empty_and_reads_as_text)
{
	LEAT_BUF_SCOPED buf = LEAT_BUF_INIT;
	cr_expect_str_eq(leat_buf_text(&buf), "");
	leat_buf_add_text(&buf, "");
	cr_expect_str_eq(leat_buf_text(&buf), "");
	cr_expect(buf.len == 0);
}

Test(buf, keeps_all_that_is_added)
{
	LEAT_BUF_SCOPED buf = LEAT_BUF_INIT;
	for (int i = 0; i < 1000; i++) {
		leat_buf_printf(&buf, "%d,", i);
		cr_assert(buf.data[buf.len] == '\0');
		cr_assert(buf.len < buf.cap);
	}
	cr_expect(strncmp(buf.data, "0,1,2,3,", 8) == 0);
	cr_expect_str_eq(buf.data + buf.len - 8, "998,999,");
	cr_expect(buf.len == 10 * 2 + 90 * 3 + 900 * 4);
}

Test(buf, takes_bytes_of_any_value)
{
	LEAT_BUF_SCOPED buf = LEAT_BUF_INIT;
	leat_buf_add(&buf, "a\0b", 3);
	leat_buf_add(&buf, NULL, 0);
	cr_expect(buf.len == 3);
	cr_expect(memcmp(buf.data, "a\0b", 4) == 0);
}

Test(buf, clear_keeps_the_memory)
{
	LEAT_BUF_SCOPED buf = LEAT_BUF_INIT;
	leat_buf_clear(&buf);
	leat_buf_add_text(&buf, "some text");
	const char *data = buf.data;
	leat_buf_clear(&buf);
	cr_expect_str_eq(leat_buf_text(&buf), "");
	leat_buf_add_text(&buf, "other");
	cr_expect(buf.data == data);
	cr_expect_str_eq(buf.data, "other");
}

Test(buf, take_hands_the_bytes_over)
{
	struct leat_buf buf = LEAT_BUF_INIT;
	leat_buf_add_text(&buf, "mine now");
	char *taken = leat_buf_take(&buf);
	cr_expect_str_eq(taken, "mine now");
	cr_expect(buf.data == NULL && buf.len == 0 && buf.cap == 0);
	free(taken);
	taken = leat_buf_take(&buf);
	cr_expect_str_eq(taken, "");
	free(taken);
}

Test(buf, free_puts_it_back_to_the_start)
{
	struct leat_buf buf = LEAT_BUF_INIT;
	leat_buf_add_text(&buf, "x");
	leat_buf_free(&buf);
	cr_expect(buf.data == NULL && buf.len == 0 && buf.cap == 0);
	leat_buf_free(&buf);
}
