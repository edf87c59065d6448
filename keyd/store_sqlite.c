/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store on SQLite. One thread writes: it takes the commits that wait,
 * puts them into one transaction, and wakes each caller when the transaction
 * is on the disk. The conditions of a commit are looked at before its first
 * write, so that a rejected one has nothing to undo; any other failure is the
 * disk's, and rolls back the whole group. Readers have connections of their
 * own and see the last transaction that is complete.
 */
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "lock.h"
#include "log.h"
#include "store_file.h"
#include "store_reader.h"
#include "waiting.h"

enum {
	GROUP_JOBS = 256,
	GROUP_BYTES = 16 << 20,
};

/* What a caller waits for; lives on the caller's stack. */
struct job {
	bool scrub; /* instead of a commit */
	const struct store_cond *conds;
	const struct store_write *writes;
	size_t cond_count, write_count;

	uint64_t revision;
	enum hf_err err;
	sem_t done;
	struct job *next;
};

struct engine {
	struct store *store;
	char *path;
	int lock_fd;

	pthread_mutex_t lock; /* of the queue */
	pthread_cond_t work;
	struct job *first, *last;
	struct store_info info;
	bool stopping;

	/* The writer thread's alone. */
	pthread_t writer;
	bool writer_runs;
	sqlite3 *db;
	sqlite3_stmt *begin, *commit, *rollback;
	sqlite3_stmt *revision_of, *put, *drop, *set_head;
	uint64_t head;
	bool unsure; /* the last COMMIT failed, and may be in the log or not */

	struct store_readers readers;
};

/* -- The writer -- */

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static enum hf_err
run(struct engine *e, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);
	enum hf_err err = rc == SQLITE_DONE ? HF_OK : store_file_error(e->db);

	if (err != HF_OK)
		log_error("store %s: %s", e->path, sqlite3_errmsg(e->db));
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	return err;
}

static enum hf_err
check_cond(struct engine *e, const struct store_cond *cond)
{
	uint64_t revision = 0;
	enum hf_err err = HF_OK;
	int rc = store_file_bind(e->revision_of, 1, cond->key);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(e->revision_of);
	if (rc == SQLITE_ROW)
		revision = (uint64_t)sqlite3_column_int64(e->revision_of, 0);
	else if (rc != SQLITE_DONE)
		err = store_file_error(e->db);
	(void)sqlite3_reset(e->revision_of);
	(void)sqlite3_clear_bindings(e->revision_of);
	if (err != HF_OK)
		return err;
	return revision == cond->revision ? HF_OK : HF_ERR_STORE_CONFLICT;
}

static enum hf_err
apply_write(
    struct engine *e, const struct store_write *write, uint64_t revision)
{
	bool drop = write->value.ptr == NULL;
	sqlite3_stmt *stmt = drop ? e->drop : e->put;
	int rc = store_file_bind(stmt, 1, write->key);

	if (rc == SQLITE_OK && !drop)
		rc = sqlite3_bind_blob(stmt, 2, write->value.ptr,
		    (int)write->value.len, SQLITE_STATIC);
	if (rc == SQLITE_OK && !drop)
		rc = sqlite3_bind_int64(stmt, 3, (int64_t)revision);
	if (rc != SQLITE_OK)
		return store_file_error(e->db);
	return run(e, stmt);
}

/*
 * One commit inside the group's transaction. A condition that does not hold
 * is the job's own error; what is returned is the group's.
 */
static enum hf_err
apply_job(struct engine *e, struct job *job, uint64_t *head)
{
	enum hf_err err;

	for (size_t i = 0; i < job->cond_count; i++) {
		err = check_cond(e, &job->conds[i]);
		if (err == HF_ERR_STORE_CONFLICT) {
			job->err = err;
			return HF_OK;
		}
		if (err != HF_OK)
			return err;
	}
	for (size_t i = 0; i < job->write_count; i++) {
		err = apply_write(e, &job->writes[i], *head + 1);
		if (err != HF_OK)
			return err;
	}
	job->revision = ++*head;
	job->err = HF_OK;
	return HF_OK;
}

static enum hf_err
write_head(struct engine *e, uint64_t head)
{
	if (sqlite3_bind_int64(e->set_head, 1, (int64_t)head) != SQLITE_OK)
		return store_file_error(e->db);
	return run(e, e->set_head);
}

/*
 * A COMMIT whose fsync failed may have left complete frames in the log. They
 * are not seen now, but after a crash the recovery would take them for
 * committed, though the callers were told that nothing was written. So before
 * anything else, an empty commit goes where they are. It uses up one revision
 * more than the failed group could have.
 */
static enum hf_err
settle(struct engine *e)
{
	uint64_t head = e->head + GROUP_JOBS + 1;
	enum hf_err err;

	if (!e->unsure)
		return HF_OK;
	err = run(e, e->begin);
	if (err != HF_OK)
		return err;
	err = write_head(e, head);
	if (err == HF_OK)
		err = run(e, e->commit);
	if (err != HF_OK) {
		if (sqlite3_get_autocommit(e->db) == 0)
			(void)run(e, e->rollback);
		return err;
	}
	e->head = head;
	e->unsure = false;
	return HF_OK;
}

static enum hf_err
apply_group(struct engine *e, struct job *group, uint64_t *head)
{
	enum hf_err err;

	for (struct job *job = group; job != NULL; job = job->next) {
		err = apply_job(e, job, head);
		if (err != HF_OK)
			return err;
	}
	if (*head == e->head)
		return HF_OK; /* all were rejected */
	err = write_head(e, *head);
	if (err != HF_OK)
		return err;
	err = run(e, e->commit);
	if (err != HF_OK)
		e->unsure = true;
	return err;
}

static void
commit_group(struct engine *e, struct job *group)
{
	enum hf_err err = settle(e);

	if (err == HF_OK)
		err = run(e, e->begin);

	uint64_t head = e->head;

	if (err == HF_OK)
		err = apply_group(e, group, &head);
	if (sqlite3_get_autocommit(e->db) == 0)
		(void)run(e, e->rollback);
	if (err != HF_OK) {
		for (struct job *job = group; job != NULL; job = job->next)
			job->err = err;
		if (e->unsure)
			(void)settle(e); /* else before the next group */
		return;
	}
	e->head = head;
	for (struct job *job = group; job != NULL; job = job->next)
		if (job->err == HF_OK)
			store_notify(e->store, job->writes, job->write_count,
			    job->revision);
}

static void
scrub_now(struct engine *e, struct job *job)
{
	int rc = sqlite3_wal_checkpoint_v2(
	    e->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	job->err = rc == SQLITE_OK ? HF_OK : store_file_error(e->db);
}

static size_t
job_bytes(const struct job *job)
{
	size_t sum = 0;

	for (size_t i = 0; i < job->write_count; i++)
		sum += job->writes[i].value.len;
	return sum;
}

/* Waits for work; NULL when the store closes and there is none left. */
static struct job *
take_group(struct engine *e)
{
	struct job *group, *end;
	size_t jobs = 1, bytes;

	(void)pthread_mutex_lock(&e->lock);
	while (e->first == NULL && !e->stopping)
		(void)pthread_cond_wait(&e->work, &e->lock);
	group = end = e->first;
	if (group != NULL) {
		bytes = job_bytes(group);
		while (!group->scrub && end->next != NULL &&
		    !end->next->scrub && jobs < GROUP_JOBS &&
		    bytes < GROUP_BYTES) {
			end = end->next;
			bytes += job_bytes(end);
			jobs++;
		}
		e->first = end->next;
		if (e->first == NULL)
			e->last = NULL;
		end->next = NULL;
	}
	(void)pthread_mutex_unlock(&e->lock);
	return group;
}

/* How the last group did; those that were rejected took no sync. */
static void
count_group(struct engine *e, const struct job *group)
{
	uint64_t commits = 0, jobs = 0;

	for (const struct job *job = group; job != NULL; job = job->next) {
		commits += !job->scrub && job->err == HF_OK;
		jobs++;
	}
	(void)pthread_mutex_lock(&e->lock);
	e->info.commits += commits;
	e->info.groups += commits > 0;
	e->info.waiting -= jobs;
	(void)pthread_mutex_unlock(&e->lock);
}

static void
finish_group(struct job *group)
{
	for (struct job *job = group, *next; job != NULL; job = next) {
		next = job->next; /* the job is gone once its owner runs */
		(void)sem_post(&job->done);
	}
}

static void *
writer_main(void *arg)
{
	struct engine *e = arg;

	for (;;) {
		struct job *group = take_group(e);

		if (group == NULL)
			return NULL;
		if (group->scrub)
			scrub_now(e, group);
		else
			commit_group(e, group);
		count_group(e, group);
		finish_group(group);
	}
}

static enum hf_err
submit(struct engine *e, struct job *job)
{
	job->err = HF_ERR_STORE;
	if (sem_init(&job->done, 0, 0) != 0)
		return HF_ERR_SYSTEM;
	waiting_begin();
	(void)pthread_mutex_lock(&e->lock);
	if (e->last == NULL)
		e->first = job;
	else
		e->last->next = job;
	e->last = job;
	e->info.waiting++;
	(void)pthread_cond_signal(&e->work);
	(void)pthread_mutex_unlock(&e->lock);
	while (sem_wait(&job->done) != 0 && errno == EINTR)
		;
	waiting_end();
	(void)sem_destroy(&job->done);
	return job->err;
}

static enum hf_err
sqlite_commit(void *state, const struct store_cond *conds, size_t cond_count,
    const struct store_write *writes, size_t write_count, uint64_t *revision)
{
	struct job job = {
		.conds = conds,
		.cond_count = cond_count,
		.writes = writes,
		.write_count = write_count,
	};
	enum hf_err err = submit(state, &job);

	if (err == HF_OK && revision != NULL)
		*revision = job.revision;
	return err;
}

static void
sqlite_info(void *state, struct store_info *out)
{
	struct engine *e = state;

	(void)pthread_mutex_lock(&e->lock);
	*out = e->info;
	(void)pthread_mutex_unlock(&e->lock);
}

static enum hf_err
sqlite_scrub(void *state)
{
	struct job job = { .scrub = true };

	return submit(state, &job);
}

/* -- Opening and closing -- */

static enum hf_err
read_head(struct engine *e, struct hf_why *why)
{
	sqlite3_stmt *stmt = NULL;
	enum hf_err err =
	    store_file_prepare(e->db, "SELECT revision FROM head", &stmt, why);

	if (err != HF_OK)
		return err;
	if (sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_int64(stmt, 0) >= 0)
		e->head = (uint64_t)sqlite3_column_int64(stmt, 0);
	else
		err = hf_fail(why, HF_ERR_STORE_DAMAGED,
		    "store %s has lost the number of its last commit", e->path);
	(void)sqlite3_finalize(stmt);
	return err;
}

static enum hf_err
open_writer(struct engine *e, struct hf_why *why)
{
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} statements[] = {
		{ &e->begin, "BEGIN IMMEDIATE" },
		{ &e->commit, "COMMIT" },
		{ &e->rollback, "ROLLBACK" },
		{ &e->revision_of, "SELECT revision FROM kv WHERE key = ?1" },
		{ &e->put,
		    "INSERT INTO kv (key, value, revision) VALUES (?1, ?2, ?3) "
		    "ON CONFLICT (key) DO UPDATE SET "
		    "value = excluded.value, revision = excluded.revision" },
		{ &e->drop, "DELETE FROM kv WHERE key = ?1" },
		{ &e->set_head, "UPDATE head SET revision = ?1 WHERE id = 1" },
	};
	enum hf_err err;

	err = store_file_connect(e->path, STORE_FILE_WRITE, &e->db, why);
	if (err == HF_OK)
		err = store_file_migrate(e->db, e->path, why);
	if (err == HF_OK)
		err = store_file_check(e->db, e->path, true, why);
	if (err == HF_OK)
		err = read_head(e, why);
	for (size_t i = 0;
	     err == HF_OK && i < sizeof(statements) / sizeof(statements[0]);
	     i++)
		err = store_file_prepare(
		    e->db, statements[i].sql, statements[i].stmt, why);
	return err;
}

/* Signals are for the threads that know what to do about them. */
static enum hf_err
start_writer(struct engine *e)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return HF_ERR_SYSTEM;
	rc = pthread_create(&e->writer, NULL, writer_main, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	e->writer_runs = rc == 0;
	return rc == 0 ? HF_OK : HF_ERR_SYSTEM;
}

static void
sqlite_close(void *state)
{
	struct engine *e = state;

	if (e->writer_runs) {
		(void)pthread_mutex_lock(&e->lock);
		e->stopping = true;
		(void)pthread_cond_signal(&e->work);
		(void)pthread_mutex_unlock(&e->lock);
		(void)pthread_join(e->writer, NULL);
	}
	store_readers_close(&e->readers);

	sqlite3_stmt *const statements[] = { e->begin, e->commit, e->rollback,
		e->revision_of, e->put, e->drop, e->set_head };

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		(void)sqlite3_finalize(statements[i]);
	(void)sqlite3_close(e->db); /* the last one folds in the log */
	fd_close(e->lock_fd);
	(void)pthread_mutex_destroy(&e->lock);
	(void)pthread_cond_destroy(&e->work);
	free(e->path);
	free(e);
}

static enum hf_err
sqlite_check(void *state, struct hf_why *why)
{
	struct engine *e = state;
	sqlite3 *db = NULL;
	enum hf_err err;

	/* A connection of its own, so that no reader is missing meanwhile. */
	err = store_file_connect(e->path, STORE_FILE_READ, &db, why);
	if (err != HF_OK)
		return err;
	err = store_file_check(db, e->path, false, why);
	(void)sqlite3_close(db);
	return err;
}

static enum hf_err
sqlite_get(void *state, struct hf_text key, struct store_value *out)
{
	struct engine *e = state;

	return store_readers_get(&e->readers, key, out);
}

static enum hf_err
sqlite_list(void *state, struct hf_text prefix, struct hf_text after,
    size_t limit, store_each_fn *each, void *ctx)
{
	struct engine *e = state;

	return store_readers_list(&e->readers, prefix, after, limit, each, ctx);
}

static void
sqlite_attach(void *state, struct store *store)
{
	struct engine *e = state;

	e->store = store;
}

static const struct store_engine engine_sqlite = {
	.attach = sqlite_attach,
	.get = sqlite_get,
	.list = sqlite_list,
	.commit = sqlite_commit,
	.info = sqlite_info,
	.scrub = sqlite_scrub,
	.check = sqlite_check,
	.close = sqlite_close,
};

static struct engine *
engine_new(const char *path)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->lock_fd = -1;
	e->path = strdup(path);
	/* With default attributes these only fill memory in. */
	lock_init(&e->lock);
	(void)pthread_cond_init(&e->work, NULL);
	store_readers_init(&e->readers);
	return e;
}

static enum hf_err
engine_open(struct engine *e, struct hf_why *why)
{
	enum hf_err err;

	if (e->path == NULL)
		return HF_ERR_NO_MEMORY;
	err = store_file_lock(e->path, &e->lock_fd, why);
	if (err == HF_OK)
		err = store_file_make(e->path, false, why);
	if (err == HF_OK)
		err = open_writer(e, why);
	if (err == HF_OK)
		err = store_file_sync_name(e->path, why);
	if (err == HF_OK)
		err = store_readers_open(&e->readers, e->path, why);
	return err;
}

enum hf_err
store_open(const char *path, struct store **out, struct hf_why *why)
{
	struct engine *e = engine_new(path);
	struct store *store = NULL;
	enum hf_err err;

	if (e == NULL)
		return HF_ERR_NO_MEMORY;
	err = engine_open(e, why);
	if (err == HF_OK)
		err = store_new(&engine_sqlite, e, &store);
	if (err != HF_OK) {
		sqlite_close(e);
		return err;
	}
	err = start_writer(e);
	if (err != HF_OK) {
		store_close(store);
		return hf_fail(why, err, "store: no thread could be started");
	}
	*out = store;
	return HF_OK;
}
