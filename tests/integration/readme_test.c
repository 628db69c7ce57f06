/* The README says what the program says: its tables are the generated ones, its examples are the files that are tested. */
#include "scripts.h"

#include "leat/buf.h"
#include "leat/intent.h"
#include "leat/param.h"
#include "leat/workflow.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_in_readme(const char *text, const char *what)
{
	char *readme = script_read("README.md");
	cr_expect_not_null(strstr(readme, text), "README.md does not hold %s as it is now:\n%s", what, text);
	free(readme);
}

Test(readme, message_table_is_the_one_of_the_decoder)
{
	LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
	leat_intent_describe(&table);
	expect_in_readme(leat_buf_text(&table), "the messages (`leat help messages`)");
}

Test(readme, node_table_is_the_one_of_the_check)
{
	LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
	leat_workflow_describe(&table);
	expect_in_readme(leat_buf_text(&table), "the node types (`leat help nodes`)");
}

Test(readme, query_table_is_the_one_of_the_decoder)
{
	LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
	leat_query_describe(&table);
	expect_in_readme(leat_buf_text(&table), "the queries (`leat help queries`)");
}

Test(readme, settings_table_is_the_one_of_the_program)
{
	LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
	leat_params_describe(&table);
	expect_in_readme(leat_buf_text(&table), "the settings (`leat help settings`)");
}

Test(readme, every_code_is_explained)
{
	for (enum leat_code code = LEAT_CODE_NONE + 1; code <= LEAT_CODE_INTERNAL; code++) {
		LEAT_BUF_SCOPED row = LEAT_BUF_INIT;
		leat_buf_printf(&row, "| `%s` | ", leat_code_name(code));
		expect_in_readme(leat_buf_text(&row), "the code");
	}
}

static void expect_example(const char *path)
{
	char *example = script_read(path);
	LEAT_BUF_SCOPED block = LEAT_BUF_INIT;
	leat_buf_printf(&block, "```js\n%s```\n", example);
	expect_in_readme(leat_buf_text(&block), path);
	free(example);
}

Test(readme, node_examples_are_the_tested_files)
{
	expect_example("tests/clients/publish.mjs");
	expect_example("tests/clients/gateway.mjs");
	expect_example("tests/clients/query.mjs");
}
