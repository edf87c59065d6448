/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of the SQLite store: backup from one that may be in use, restore over
 * one that is not. A copy is one file without a log beside it, checked in full
 * and on the disk before anybody relies on it.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store_file.h"

struct path {
	char text[PATH_MAX];
};

static enum hf_err
path_with(
    const char *path, const char *ending, struct path *out, struct hf_why *why)
{
	int n = snprintf(out->text, sizeof(out->text), "%s%s", path, ending);

	if (n < 0 || (size_t)n >= sizeof(out->text))
		return hf_fail(
		    why, HF_ERR_STORE, "store: the path is too long");
	return HF_OK;
}

/* In one step: a reader of a store in WAL mode holds up no writer. */
static enum hf_err
copy_pages(sqlite3 *from, sqlite3 *to, const char *path, struct hf_why *why)
{
	sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
	enum hf_err err = HF_OK;

	if (copy != NULL)
		(void)sqlite3_backup_step(copy, -1);
	if (copy == NULL || sqlite3_backup_finish(copy) != SQLITE_OK)
		err = hf_fail(why, store_file_error(to), "store %s: %s", path,
		    sqlite3_errmsg(to));
	return err;
}

/* The copy takes over the mode of its source; without a log it is one file. */
static enum hf_err
drop_wal(sqlite3 *db, const char *path, struct hf_why *why)
{
	if (sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL,
		NULL) == SQLITE_OK)
		return HF_OK;
	return hf_fail(why, store_file_error(db), "store %s: %s", path,
	    sqlite3_errmsg(db));
}

static enum hf_err
copy_into(sqlite3 *from, const char *path, struct hf_why *why)
{
	sqlite3 *to = NULL;
	enum hf_err err = store_file_connect(path, STORE_FILE_WRITE, &to, why);

	if (err != HF_OK)
		return err;
	err = copy_pages(from, to, path, why);
	if (err == HF_OK)
		err = drop_wal(to, path, why);
	if (err == HF_OK)
		err = store_file_check(to, path, false, why);
	if (sqlite3_close(to) != SQLITE_OK && err == HF_OK)
		err = HF_ERR_STORE;
	if (err == HF_OK)
		err = store_file_sync(path, why);
	return err;
}

static void
remove_copy(const char *path)
{
	static const char *const endings[] = { "", "-journal", "-wal", "-shm" };
	struct path name;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (path_with(path, endings[i], &name, NULL) == HF_OK)
			(void)unlink(name.text);
}

/* A checked copy of `from` in the new file `path`, or no file. */
static enum hf_err
copy_store(const char *from, const char *path, struct hf_why *why)
{
	sqlite3 *source = NULL;
	enum hf_err err;

	err = store_file_connect(from, STORE_FILE_READ, &source, why);
	if (err != HF_OK)
		return err;
	err = store_file_identify(source, from, why);
	if (err == HF_OK)
		err = store_file_make(path, true, why);
	if (err != HF_OK) {
		(void)sqlite3_close(source);
		return err;
	}
	err = copy_into(source, path, why);
	(void)sqlite3_close(source);
	if (err != HF_OK)
		remove_copy(path);
	return err;
}

enum hf_err
store_backup(const char *from, const char *path, struct hf_why *why)
{
	return copy_store(from, path, why);
}

/*
 * Folds the log of a store that nobody uses into its file. Its name must be
 * free before another file takes the store's place: SQLite goes by names, and
 * would apply the old log to the new file. A store too damaged for that keeps
 * its log under the name under which it is kept itself.
 */
static enum hf_err
retire_log(const char *path, const char *kept, struct hf_why *why)
{
	struct path log, kept_log, index;
	sqlite3 *db = NULL;
	enum hf_err err;

	err = path_with(path, "-wal", &log, why);
	if (err == HF_OK)
		err = path_with(kept, "-wal", &kept_log, why);
	if (err == HF_OK)
		err = path_with(path, "-shm", &index, why);
	if (err != HF_OK)
		return err;
	if (store_file_connect(path, STORE_FILE_WRITE, &db, NULL) == HF_OK) {
		(void)drop_wal(db, path, NULL);
		(void)sqlite3_close(db);
	}
	if (rename(log.text, kept_log.text) != 0 && errno != ENOENT)
		return hf_fail(why, HF_ERR_STORE, "store: %s: %s", log.text,
		    strerror(errno));
	if (unlink(index.text) != 0 && errno != ENOENT)
		return hf_fail(why, HF_ERR_STORE, "store: %s: %s", index.text,
		    strerror(errno));
	return HF_OK;
}

/* A second name first, so that PATH names a whole store at every moment. */
static enum hf_err
keep_old(const char *path, struct hf_why *why)
{
	struct path kept;
	enum hf_err err = path_with(path, ".before-restore", &kept, why);

	if (err != HF_OK)
		return err;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return HF_OK;
	if (access(kept.text, F_OK) == 0)
		return hf_fail(why, HF_ERR_STORE,
		    "%s is still there from an earlier restore; move it away",
		    kept.text);
	err = retire_log(path, kept.text, why);
	if (err != HF_OK)
		return err;
	if (link(path, kept.text) != 0)
		return hf_fail(why, HF_ERR_STORE, "store: %s: %s", kept.text,
		    strerror(errno));
	return HF_OK;
}

static enum hf_err
put_in_place(const char *fresh, const char *path, struct hf_why *why)
{
	enum hf_err err = keep_old(path, why);

	if (err != HF_OK)
		return err;
	if (rename(fresh, path) != 0)
		return hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", path, strerror(errno));
	return store_file_sync(path, why);
}

enum hf_err
store_restore(const char *backup, const char *path, struct hf_why *why)
{
	struct path fresh;
	int lock = -1;
	enum hf_err err = path_with(path, ".restoring", &fresh, why);

	if (err == HF_OK)
		err = store_file_lock(path, &lock, why);
	if (err != HF_OK)
		return err;
	remove_copy(fresh.text); /* of a restore that was killed */
	err = copy_store(backup, fresh.text, why);
	if (err == HF_OK)
		err = put_in_place(fresh.text, path, why);
	if (err != HF_OK)
		remove_copy(fresh.text);
	(void)close(lock);
	return err;
}
