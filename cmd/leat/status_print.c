/* The status as tables. What a server that is down would have said is left out. */
#include "status.h"

#include "show.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

static json_int_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value != NULL ? value : "";
}

static void add_number(struct table *table, const json_t *object, const char *name)
{
	table_add(table, "%" JSON_INTEGER_FORMAT, number(object, name));
}

static void add_text(struct table *table, const json_t *object, const char *name)
{
	table_add(table, "%s", text(object, name));
}

static void add_duration(struct table *table, const json_t *object, const char *name, const char *after)
{
	char shown[SHOW_BYTES];
	show_duration(shown, number(object, name));
	table_add(table, "%s%s", shown, after);
}

/* An empty line before it; nothing for no rows. */
static void print(const struct table *table)
{
	if (table->count == 0)
		return;
	putchar('\n');
	table_print(table);
}

static void print_streams(const json_t *streams)
{
	static const char *const heads[] = {"STREAM", ">MESSAGES", ">SIZE", ">FIRST", ">LAST", "NEWEST", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *stream;
	json_array_foreach(streams, i, stream)
	{
		char size[SHOW_BYTES];
		show_size(size, (uint64_t)number(stream, "bytes"));
		add_text(&table, stream, "name");
		add_number(&table, stream, "messages");
		table_add(&table, "%s", size);
		add_number(&table, stream, "first_seq");
		add_number(&table, stream, "last_seq");
		add_text(&table, stream, "last_at");
	}
	print(&table);
}

/* "-" where nothing waits. */
static void add_age(struct table *table, const json_t *lane)
{
	if (number(lane, "lag") > 0)
		add_duration(table, lane, "oldest_ms", "");
	else
		table_add(table, "%s", "");
}

static void add_rate(struct table *table, const json_t *lane)
{
	const json_t *rate = json_object_get(lane, "rate_per_s");
	if (json_is_real(rate))
		table_add(table, "%.*f/s", json_real_value(rate) < 10 ? 1 : 0, json_real_value(rate));
	else
		table_add(table, "%s", "");
}

static void print_durables(const json_t *lanes)
{
	static const char *const heads[] = {
		"CONSUMER", "STREAM", ">LAG", ">PENDING", ">IN FLIGHT", ">OLDEST", ">RATE", ">REDELIVERED", ">FLOOR", ">IDLE PULLS", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *lane;
	json_array_foreach(lanes, i, lane)
	{
		add_text(&table, lane, "durable");
		add_text(&table, lane, "stream");
		add_number(&table, lane, "lag");
		add_number(&table, lane, "pending");
		add_number(&table, lane, "in_flight");
		add_age(&table, lane);
		add_rate(&table, lane);
		add_number(&table, lane, "redelivered");
		add_number(&table, lane, "floor_seq");
		add_number(&table, lane, "idle_pulls");
	}
	print(&table);
}

static void add_lane(struct table *table, const json_t *process, const char *name, const json_t *lane)
{
	table_add(table, "%s/%" JSON_INTEGER_FORMAT, text(process, "host"), number(process, "pid"));
	add_text(table, process, "queue_group");
	add_duration(table, process, "seen_ms", json_is_true(json_object_get(process, "alive")) ? " ago" : " ago, gone");
	table_add(table, "%s", name);
	add_text(table, lane, "state");
	add_duration(table, lane, "state_ms", "");
	add_number(table, lane, "applied");
	add_number(table, lane, "duplicate");
	add_number(table, lane, "rejected");
	add_number(table, lane, "parked");
	add_number(table, lane, "published");
	add_number(table, lane, "pruned");
	add_number(table, lane, "retries");
}

static void print_processes(const json_t *processes)
{
	static const char *const heads[] = {"PROCESS", "GROUP", "SEEN", "LANE", "STATE", ">SINCE", ">APPLIED", ">DUPLICATE", ">REJECTED",
		">PARKED", ">PUBLISHED", ">PRUNED", ">RETRIES", NULL};
	TABLE_SCOPED table;
	table_init(&table, heads);
	size_t i;
	json_t *process;
	json_array_foreach(processes, i, process)
	{
		const char *name;
		json_t *lane;
		json_object_foreach(json_object_get(process, "lanes"), name, lane) add_lane(&table, process, name, lane);
	}
	print(&table);
}

static void print_dead(const json_t *dead)
{
	const char *code;
	json_t *count;
	const char *before = "; the newest: ";
	if (!json_is_object(dead)) /* not asked, or not answered */
		return;
	printf("dead letters  %" JSON_INTEGER_FORMAT, number(dead, "total"));
	json_object_foreach(json_object_get(dead, "newest_by_code"), code, count)
	{
		printf("%s%s %" JSON_INTEGER_FORMAT, before, code, json_integer_value(count));
		before = ", ";
	}
	putchar('\n');
}

static void print_runs(const json_t *runs)
{
	static const char *const statuses[] = {"pending", "running", "waiting", "completed", "failed", "cancelled"};
	const char *before = "";
	printf("runs          ");
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		json_int_t count = number(runs, statuses[i]);
		if (count > 0) {
			printf("%s%" JSON_INTEGER_FORMAT "%s %s", before, count, count >= STATUS_COUNTED ? " or more" : "", statuses[i]);
			before = ", ";
		}
	}
	printf("%s\n", *before == '\0' ? "0" : "");
}

static void print_waiting(const json_t *postgres)
{
	const json_t *outbox = json_object_get(postgres, "outbox");
	char age[SHOW_BYTES];
	if (outbox == NULL)
		return;
	show_duration(age, number(outbox, "oldest_ms"));
	printf("entities      about %" JSON_INTEGER_FORMAT "\n", number(postgres, "entities"));
	printf("activity      about %" JSON_INTEGER_FORMAT "\n", number(postgres, "activity"));
	print_runs(json_object_get(postgres, "runs"));
	printf("parked        %" JSON_INTEGER_FORMAT "\n", number(postgres, "parked"));
	printf("outbox        %" JSON_INTEGER_FORMAT, number(outbox, "waiting"));
	if (number(outbox, "waiting") > 0)
		printf(", the oldest for %s, %" JSON_INTEGER_FORMAT " refused by NATS", age, number(outbox, "refused"));
	putchar('\n');
}

static void print_server(const char *name, const json_t *server)
{
	bool reachable = json_is_true(json_object_get(server, "reachable"));
	const char *version = text(server, "version");
	printf("%-8s      %s%s%s", name, reachable ? "reachable" : "NOT REACHABLE", *version != '\0' ? ", version " : "", version);
	if (reachable && json_object_get(server, "answered_ms") != NULL)
		printf(", answered in %" JSON_INTEGER_FORMAT " ms", number(server, "answered_ms"));
	if (json_object_get(server, "connections") != NULL)
		printf(", %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " connections", number(server, "connections"),
			number(server, "max_connections"));
	putchar('\n');
}

void status_print(const json_t *report)
{
	const json_t *nats = json_object_get(report, "nats");
	const json_t *postgres = json_object_get(report, "postgres");
	size_t i;
	json_t *problem;
	print_server("NATS", nats);
	print_server("Postgres", postgres);
	print_waiting(postgres);
	print_dead(json_object_get(nats, "dead"));
	print_streams(json_object_get(nats, "streams"));
	print_durables(json_object_get(nats, "lanes"));
	print_processes(json_object_get(postgres, "processes"));
	if (json_array_size(json_object_get(report, "problems")) > 0)
		putchar('\n');
	json_array_foreach(json_object_get(report, "problems"), i, problem) printf("PROBLEM: %s\n", json_string_value(problem));
}
