/*
 * leat: `leat COMMAND [FLAGS] [WORDS]`. The table below is all there is to know: what a command is called, what it takes, what it does,
 * and the function that does it.
 *
 * The happy path reads the settings (defaults, then LEAT_* variables, then flags) and calls the command with what is left. An
 * unknown command, flag or value ends with 2 and names the nearest known one.
 */
#include "command.h"
#include "up.h"

#include "leat/buf.h"
#include "leat/intent.h"
#include "leat/lane.h"
#include "leat/log.h"
#include "leat/text.h"
#include "leat/version.h"
#include "leat/workflow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
	const char *name;
	int (*run)(struct leat_params *params, int argc, char **argv);
	const char *usage;
	const char *about;
	const char *details; /* lines for `leat help COMMAND`; "" for none */
};

static int run_help(struct leat_params *params, int argc, char **argv);
static int run_version(struct leat_params *params, int argc, char **argv);

static const struct command commands[] = {
	{"up", leat_cmd_up, "[--consumers N] [--state-dir FOLDER]", "everything on one machine, in the foreground; Ctrl-C stops all of it",
		"A private nats-server and Postgres under .leat/, schema and streams, and consumers. Nothing needs to be configured.\n"},
	{"migrate", leat_cmd_migrate, "", "make or update the schema and the streams",
		"Safe to run again, and by several at once. Streams that exist with other settings are reported, never changed.\n"
		"The database is the one of LEAT_MIGRATE_URL, else of LEAT_DATABASE_URL.\n"},
	{"consume", leat_cmd_consume, "[--queue-group NAME] [--lanes LANE,...]", "one consumer process; start as many as you like",
		"Applies intents from the streams in Postgres until SIGTERM, which finishes what is in hand.\n"},
	{"publish", leat_cmd_publish, "[NOUN.VERB --tenant TENANT] [--role ROLE] [--actor NAME] [--id ID] [--wait] [FILE]",
		"publish intents, one JSON body a line",
		"  --tenant TENANT  UUID of the tenant\n"
		"  --role ROLE      user, service (default) or engine\n"
		"  --actor NAME     Leat-Actor: a user's UUID or a service's name\n"
		"  --id ID          Leat-Id: one effect per tenant and id; of several lines ID-1, ID-2, ...; without it\n"
		"                   each message has a random UUID, so publishing the same lines again makes other messages\n"
		"  --wait           wait for the outcomes and print them, a JSON line each, in the order of the lines;\n"
		"                   1 when an intent was rejected or has no outcome in time\n"
		"\n"
		"Lines come from FILE, else from standard input. Without NOUN.VERB each line is an object that says what it is:\n"
		"  {\"intent\":\"entity.merge\",\"tenant\":\"...\",\"role\":\"service\",\"id\":\"...\",\"actor\":\"...\",\"body\":{...}}\n"
		"where flags stand in for what it leaves out; \"raw\":\"text\" instead of \"body\" sends the text as it is.\n"
		"Bodies are checked by the consumer, not here.\n"},
	{"status", leat_cmd_status, "[--json | --quiet] [--watch [SECONDS]]", "what waits, what runs, what is dead",
		"  --json   as one JSON object\n"
		"  --quiet  says only what is wrong\n"
		"  --watch  again every 2 seconds, or as many as are given; with --json one line each time\n"
		"\n"
		"0 when both servers answer and a consumer of the queue group was seen within three heartbeats, else 1, and why.\n"},
	{"doctor", leat_cmd_doctor, "[--json]", "what is wrong here, why it matters, and what mends it",
		"Looks at versions, streams, consumers, permissions, retention, clocks, room, the schema and its walls, the ledger beside the "
		"streams,\n"
		"and, on this machine, the secrets. Changes nothing. Run it as a consumer is run: with its settings, logins and user.\n"
		"\n"
		"1 when there is a fault, 0 when there are warnings at most.\n"},
	{"explain", leat_cmd_explain, "ID [FIELD] --tenant TENANT [--look-back N] [--json]",
		"who wrote each field of an entity, and who lost; what each message did to a run, workflow or question",
		"ID is that of an entity (a UUID or TYPE:KEY), workflow, run, interaction or member. Which it is, is found out; where one id has\n"
		"several, say it before: `leat explain run ID`. FIELD is one of an entity: its name, or content.NAME, metadata.NAME, locks.NAME.\n"
		"\n"
		"For each field: the position in LEAT_ENTITY that it was written at, the time, actor, role, verb and Leat-Id of that intent, or\n"
		"that direct SQL did, and over what. Then the writes that are not what stands, and why: overwritten, locked, below a delete,\n"
		"rejected. Of anything else each message about it, in order: who, when, its outcome, and what it did.\n"
		"\n"
		"Messages are looked for among the ledger's newest million positions, or N. What ledger or stream no longer hold is said to be "
		"gone.\n"},
	{"runs", leat_cmd_runs,
		"list [--tenant TENANT] [--workflow WORKFLOW] [--agent AGENT] [--status STATUS] [--limit N] [--json] | show RUN [--json] | "
		"resume RUN | retry RUN | cancel RUN",
		"runs of workflows: look at them, have them go on, begin again or end",
		"  list    the newest 50 (--limit), newest last\n"
		"  show    one of them: its graph, each node's state, times and error\n"
		"  resume  has a process with a free slot look whether it can go on; or, with --agent AGENT, each of the agent's runs\n"
		"  retry   the nodes that failed, were skipped or cancelled begin again\n"
		"  cancel  ends it where it stands\n"
		"\n"
		"list and show ask the database. The other three are published for --tenant TENANT, by a service, with --actor NAME as "
		"Leat-Actor;\n"
		"retry and cancel wait for the outcome, and end with 1 when it is a rejection.\n"},
	{"verify", leat_cmd_verify, "[--baseline FILE] [--sample N%] [--memory-mb MB] [--limit N] [--json]",
		"compare the database with its streams, field by field, while everything runs",
		"Folds what the streams hold, with the decisions that the ledger has, and compares it with the tables at one snapshot. Nothing is\n"
		"written. Each finding names tenant, row, field, both values and the position that should have won.\n"
		"  --baseline FILE  go on from a file that `leat baseline` wrote, where the streams begin later than the database\n"
		"  --sample N%      only so many of the ids, the same ones every time\n"
		"  --memory-mb MB   most memory for what is folded (512); where it is not enough, the streams are read several times\n"
		"  --limit N        findings shown (50); all are counted\n"
		"\n"
		"0: equal. 1: something differs. 2: could not tell, and why. What was written out of band, by the functions for SQL clients or an\n"
		"INSERT, is told apart and makes no difference.\n"},
	{"replay", leat_cmd_replay,
		"[--stream STREAM [--from-seq N] [--to-seq N]] [--since TIME] [--until TIME] [--subject PATTERN] [--dry-run] [--force] "
		"[--json]",
		"apply what the streams hold again, to this database or an empty one",
		"  --stream STREAM    LEAT_ENTITY, LEAT_CONTROL or LEAT_RUN; without it all three, merged by time\n"
		"  --from-seq N       a range of that stream, both ends included\n"
		"  --to-seq N\n"
		"  --since TIME       what was stored at or after: 2026-11-22T10:00:00Z, or how long ago: 90s, 30min, 2h, 7d\n"
		"  --until TIME       what was stored before\n"
		"  --subject PATTERN  of these subjects only, as in 'leat.intent.*.*.entity.>'\n"
		"  --dry-run          write nothing: say what is not settled, by stream, tenant and intent\n"
		"  --force            LEAT_RUN alone, although workflows that it needs are missing: their runs are rejected for good\n"
		"  --json             the report as a JSON object\n"
		"\n"
		"What the database has settled stays as it is, so it is safe to begin again, also on a live database. What the consumers of the\n"
		"queue group had settled has no events, replies, dead letters or calls again; they are counted. A restored database is replayed\n"
		"before its consumers start. Ctrl-C ends it after the batch in hand (130) and says how to go on.\n"},
	{"baseline", leat_cmd_baseline, "[FILE] [--baseline FILE] [--trust] [--force] [--memory-mb MB]",
		"verify the database, and write down where it stands, for `leat verify --baseline`",
		"Streams keep a week; the database keeps more. A baseline is written as long as the streams still hold all that came since the "
		"last\n"
		"one, and verification goes on from it. It has positions and hashes of values. FILE: leat-baseline.jsonl.\n"
		"  --baseline FILE  the one before\n"
		"  --trust          write it although something differs or can't be told: what stands there now counts as right\n"
		"  --force          FILE may be there already, and is replaced\n"
		"\n"
		"Ends as `leat verify` does; without --trust only 0 has written the file.\n"},
	{"dead", leat_cmd_dead,
		"list [FILTERS] [--limit N] [--count] [--json] | show SEQ | redrive (SEQ... | FILTERS | --all) [--now] [--wait] | "
		"discard (SEQ... | FILTERS | --all) [--yes]",
		"dead letters: intents that were rejected for good",
		"  list     the newest 50 (--limit), newest last; with --count how many of each code\n"
		"  show     one of them whole: headers and body\n"
		"  redrive  sends them again, body and headers as they were, once the cause is mended; each letter is deleted when the\n"
		"           stream has its message, and one that is rejected again comes back. Sent twice it counts once. With --wait\n"
		"           the outcomes are counted by status and code: 1 when one was rejected again, or has none in time\n"
		"  discard  deletes them for good; asks first, without a terminal it needs --yes\n"
		"\n"
		"FILTERS: --tenant TENANT, --code CODE, --noun NOUN or --verb NOUN.VERB, --since TIME (2026-11-21T21:40:10Z, or 90s, 30m,\n"
		"12h, 7d ago).\n"
		"\n"
		"An entity intent that is redriven writes where it first stood in the stream, so it overwrites nothing that came later; with\n"
		"--now it is the newest write, also when the ledger has forgotten the first. Intents of workflows, members, questions and\n"
		"runs are decided at their new place in any case: a workflow.save is a save now, which expected_version can guard.\n"},
	{"schema", leat_cmd_schema, "[NAME | --list | --asyncapi]", "what messages look like, for programs: JSON Schemas, AsyncAPI",
		"Without a word all schemas (JSON Schema 2020-12), each by name in $defs; with NAME that one and what it refers to.\n"
		"\n"
		"  --list      the names: NOUN.VERB for intents and queries, NOUN.VERB.outcome, NOUN.VERB.answer, leat.NOUN.WHAT for events\n"
		"  --asyncapi  an AsyncAPI 3.0 document: subjects, messages, headers, what answers what\n"
		"\n"
		"Limits are those of this command's settings: --max-fields, --max-key-bytes and so on.\n"},
	{"help", run_help, "[COMMAND | settings | messages | queries | nodes | lanes]",
		"this list, one command, every setting, message, query, node type or lane", ""},
	{"version", run_version, "", "the version of this program", ""},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static const struct command *find_command(const char *name)
{
	for (const struct command *command = commands; command < commands + COMMAND_COUNT; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

static int refuse_command(const char *name)
{
	for (const struct command *command = commands; command < commands + COMMAND_COUNT; command++) {
		if (leat_text_is_near((struct leat_text){name, strlen(name)}, command->name)) {
			fprintf(stderr, "leat: there is no command \"%s\"; did you mean %s?\n", name, command->name);
			return EXIT_USAGE;
		}
	}
	fprintf(stderr, "leat: there is no command \"%s\"; see `leat help`\n", name);
	return EXIT_USAGE;
}

/* ---- help ---- */

static void list_commands(FILE *out)
{
	fprintf(out, "leat leads NATS streams to Postgres: intents in, merged entities out.\n\n");
	for (const struct command *command = commands; command < commands + COMMAND_COUNT; command++)
		fprintf(out, "  leat %-8s  %s\n", command->name, command->about);
	fprintf(out,
		"\n`leat help COMMAND` tells more; `leat help settings` lists all settings, which every command takes,\n"
		"`leat help messages` all messages, `leat help queries` all requests, `leat help nodes` what workflows are made of,\n"
		"`leat help lanes` what a consumer is made of.\n");
}

static void describe_command(const struct command *command)
{
	printf("leat %s%s%s\n\n%s%s%s\n", command->name, *command->usage != '\0' ? " " : "", command->usage, command->about,
		*command->details != '\0' ? "\n\n" : "", command->details);
	if (command->run != run_help && command->run != run_version)
		printf("All settings are flags too: `leat help settings`.\n");
}

static int run_help(struct leat_params *params, int argc, char **argv)
{
	(void)params;
	if (argc < 2) {
		list_commands(stdout);
		return EXIT_SUCCESS;
	}
	static const struct {
		const char *topic;
		void (*describe)(struct leat_buf *out);
	} tables[] = {{"settings", leat_params_describe}, {"messages", leat_intent_describe}, {"queries", leat_query_describe},
		{"nodes", leat_workflow_describe}, {"lanes", leat_lanes_describe}};
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		if (strcmp(argv[1], tables[i].topic) == 0) {
			LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
			tables[i].describe(&table);
			printf("%s", leat_buf_text(&table));
			return EXIT_SUCCESS;
		}
	}
	const struct command *command = find_command(argv[1]);
	if (command == NULL)
		return refuse_command(argv[1]);
	describe_command(command);
	return EXIT_SUCCESS;
}

static int run_version(struct leat_params *params, int argc, char **argv)
{
	(void)params;
	(void)argc;
	(void)argv;
	printf("leat %s\n", LEAT_VERSION);
	return EXIT_SUCCESS;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	}
	return false;
}

/* ---- running one ---- */

static enum leat_kind set_log_level(const struct leat_params *params, struct leat_error *err)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(params->log_level, names[i]) == 0) {
			leat_log_set_level((enum leat_log_level)i);
			return LEAT_OK;
		}
	}
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "--log-level: expected debug, info, warn or error, found \"%s\"",
		params->log_level);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct leat_params params;
	struct leat_error err;
	leat_params_init(&params);
	if (leat_params_read_environment(&params, &err) != LEAT_OK || leat_params_take_flags(&params, &argc, argv, &err) != LEAT_OK ||
		set_log_level(&params, &err) != LEAT_OK)
		return command_fail(command->name, EXIT_USAGE, "%s", err.text);
	int status = command->run(&params, argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return command_fail(command->name, status != EXIT_SUCCESS ? status : EXIT_FAILURE, "can't write to standard output");
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		list_commands(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	const struct command *command = find_command(name);
	if (command == NULL)
		return refuse_command(name);
	if (asks_for_help(argc - 1, argv + 1)) {
		describe_command(command);
		return EXIT_SUCCESS;
	}
	return run(command, argc - 1, argv + 1);
}
