/*
 * One verification: the snapshot, the passes, the verdict.
 *
 * Happy path: the floors are asked of NATS, then the snapshot is opened, so that all below the floors is in it; each pass folds the streams
 * and compares; a pass that outgrows its memory is halved while it runs, and the other half waits on a stack. Fails when a server is away
 * for long or refuses; that the streams do not hold enough is no failure but a verdict.
 */
#include "state.h"

#include "baseline.h"

#include "leat/clock.h"

#include <stdlib.h>

static const struct verify_fold *const folds[] = {
	&verify_entities, &verify_workflows, &verify_members, &verify_interactions, &verify_runs, &verify_message_ids};

enum { FOLDS = sizeof folds / sizeof *folds, LOOK_EVERY = 4096, PARTS = 64, MOST_MODULUS = 1 << 20 };

/* One pass under way, and what is left for later ones. */
struct run {
	struct verify *v;
	void *folded[FOLDS];
	uint64_t fed; /* facts and rows of a baseline */
	struct part parts[PARTS];
	size_t part_count;
};

struct leat_pg *verify_pg(const struct verify *v)
{
	return v->pg;
}

bool verify_knows_all(const struct verify *v, enum verify_stream stream)
{
	return v->sources[stream].lost.count == 0;
}

bool verify_is_lost(const struct verify *v, enum verify_stream stream, int64_t position)
{
	return ranges_hold(&v->sources[stream].lost, position);
}

bool verify_is_hole(const struct verify *v, enum verify_stream stream, int64_t position)
{
	return ranges_hold(&v->sources[stream].holes, position);
}

/* ---- a pass ---- */

static size_t memory_of(const struct run *run)
{
	size_t bytes = 0;
	for (size_t i = 0; i < FOLDS; i++)
		bytes += folds[i]->bytes(run->folded[i]);
	return bytes;
}

static void keep_within_memory(struct verify *v, struct run *run)
{
	while (memory_of(run) > (size_t)v->options->memory_bytes && v->modulus < MOST_MODULUS && run->part_count < PARTS) {
		run->parts[run->part_count++] = verify_split(v);
		for (size_t i = 0; i < FOLDS; i++)
			folds[i]->narrow(run->folded[i]);
	}
}

static void look_at_memory(struct run *run)
{
	const struct leat_verify_options *options = run->v->options;
	if (++run->fed % (options->memory_facts != 0 ? options->memory_facts : LOOK_EVERY) == 0)
		keep_within_memory(run->v, run);
}

static void feed(struct verify *v, const struct verify_fact *fact, void *context)
{
	struct run *run = context;
	for (size_t i = 0; i < FOLDS; i++) {
		if ((folds[i]->streams & 1u << fact->stream) != 0)
			folds[i]->feed(run->folded[i], fact);
	}
	v->report->facts++;
	look_at_memory(run);
}

static enum leat_kind fold_streams(struct verify *v, struct run *run, struct leat_error *err)
{
	unsigned wanted = 0;
	for (size_t i = 0; i < FOLDS; i++)
		wanted |= folds[i]->streams;
	int64_t began_ms = leat_clock_ms();
	for (size_t i = 0; i < VERIFY_STREAMS; i++) {
		if ((wanted & 1u << i) != 0 && facts_read(v, &v->sources[i], feed, run, err) != LEAT_OK)
			return err->kind;
	}
	v->report->read_ms += leat_clock_ms() - began_ms;
	return LEAT_OK;
}

static bool load(void *context, const char *noun, const json_t *row)
{
	struct run *run = context;
	for (size_t i = 0; i < FOLDS; i++) {
		if (folds[i]->load != NULL && !folds[i]->load(run->folded[i], noun, row))
			return false;
	}
	look_at_memory(run);
	return true;
}

static enum leat_kind do_pass(struct verify *v, struct run *run, struct leat_error *err)
{
	v->report->passes++;
	size_t opened = 0;
	while (opened < FOLDS && (run->folded[opened] = folds[opened]->open(v, err)) != NULL)
		opened++;
	enum leat_kind kind = opened < FOLDS ? err->kind : baseline_load(v, load, run, err);
	if (kind == LEAT_OK)
		kind = fold_streams(v, run, err);
	for (size_t i = 0; i < FOLDS && kind == LEAT_OK; i++)
		kind = folds[i]->compare(run->folded[i], err);
	while (opened > 0) {
		opened--;
		folds[opened]->close(run->folded[opened]);
	}
	v->again = true;
	return kind;
}

static enum leat_kind do_passes(struct verify *v, struct leat_error *err)
{
	struct run run = {.v = v, .parts = {{1, 0}}, .part_count = 1};
	enum leat_kind kind = LEAT_OK;
	while (run.part_count > 0 && kind == LEAT_OK) {
		struct part part = run.parts[--run.part_count];
		v->modulus = part.modulus;
		v->remainder = part.remainder;
		kind = do_pass(v, &run, err);
	}
	return kind;
}

/* ---- the snapshot ---- */

static enum leat_kind open_both(struct verify *v, struct leat_error *err)
{
	static const struct leat_pg_statement statements[] = {LEDGER_STATEMENT};
	struct leat_bus_options options;
	leat_bus_options_init(&options, v->options->params, "leat verify");
	if (leat_bus_open(&v->bus, &options, err) != LEAT_OK)
		return leat_fail_while(err, "NATS");
	const char *url = v->options->params->database_url;
	if (leat_pg_open(&v->pg, url, "leat verify", "service_role", NULL, 0, err) != LEAT_OK ||
		leat_pg_open(&v->ledger_pg, url, "leat verify", "service_role", statements, 1, err) != LEAT_OK)
		return leat_fail_while(err, "Postgres");
	return LEAT_OK;
}

static enum leat_kind begin(struct leat_pg *pg, struct leat_error *err)
{
	if (leat_pg_run_sql(pg, "set idle_in_transaction_session_timeout = 0; set statement_timeout = 0; set jit = off", NULL, err) != LEAT_OK)
		return err->kind;
	return leat_pg_run_sql(pg, "begin isolation level repeatable read read only", NULL, err);
}

static enum leat_kind share_snapshot(struct leat_pg *from, struct leat_pg *with, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *name = NULL;
	LEAT_BUF_SCOPED sql = LEAT_BUF_INIT;
	if (leat_pg_run_sql(from, "select pg_export_snapshot()", &name, err) != LEAT_OK || begin(with, err) != LEAT_OK)
		return err->kind;
	leat_buf_printf(&sql, "set transaction snapshot '%s'", leat_pg_text(name, 0, 0)); /* digits and dashes, from Postgres */
	return leat_pg_run_sql(with, sql.data, NULL, err);
}

/* Floors first: what is settled by then is in the snapshot. */
static enum leat_kind take_snapshot(struct verify *v, struct leat_error *err)
{
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++) {
		if (source_look(v, stream, err) != LEAT_OK)
			return err->kind;
	}
	if (begin(v->pg, err) != LEAT_OK || share_snapshot(v->pg, v->ledger_pg, err) != LEAT_OK)
		return err->kind;
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++) {
		if (source_load(v, stream, err) != LEAT_OK)
			return err->kind;
	}
	return baseline_read_positions(v, err);
}

/* ---- the verdict ---- */

static enum leat_verdict judge(const struct leat_verify_report *report)
{
	for (enum leat_verify_kind kind = 0; kind < LEAT_VERIFY_KINDS; kind++) {
		if (kind != LEAT_VERIFY_OUT_OF_BAND && report->counts[kind] > 0)
			return LEAT_VERIFY_DIFFERENT;
	}
	uint64_t unknown = 0;
	for (size_t i = 0; i < report->noun_count; i++)
		unknown += report->nouns[i].unknown;
	return report->doubt_count > 0 || unknown > 0 ? LEAT_VERIFY_UNKNOWN : LEAT_VERIFY_EQUAL;
}

enum leat_kind leat_verify(struct leat_verify_report *report, const struct leat_verify_options *options, struct leat_error *err)
{
	*report = (struct leat_verify_report){0};
	struct verify v = {.options = options, .report = report};
	enum leat_kind kind = open_both(&v, err);
	if (kind == LEAT_OK)
		kind = take_snapshot(&v, err);
	if (kind == LEAT_OK)
		kind = baseline_begin(&v, err);
	if (kind == LEAT_OK)
		kind = do_passes(&v, err);
	report->verdict = judge(report);
	report->written = kind == LEAT_OK && options->write != NULL && (report->verdict == LEAT_VERIFY_EQUAL || options->trust);
	struct leat_error unwritten;
	enum leat_kind ended = baseline_end(&v, report->written, &unwritten);
	if (kind == LEAT_OK && ended != LEAT_OK) {
		*err = unwritten;
		kind = ended;
	}
	for (enum verify_stream stream = 0; stream < VERIFY_STREAMS; stream++)
		source_fini(&v.sources[stream]);
	leat_pg_close(v.ledger_pg);
	leat_pg_close(v.pg);
	leat_bus_close(v.bus);
	return kind;
}
