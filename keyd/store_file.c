/* SPDX-License-Identifier: Apache-2.0 */
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fd.h"
#include "folder.h"
#include "store.h"

enum {
	APPLICATION_ID = 0x48464b44, /* "HFKD", what file(1) goes by */
	BUSY_MS = 10000,
};

/*
 * The schema, step by step: migrations[n] takes version n to n + 1. A step
 * that was released is never edited. Keys are blobs, so that their order is
 * that of their bytes. The table has a rowid of its own because its values are
 * large: an index over keys alone stays shallow.
 */
static const char *const migrations[] = {
	"CREATE TABLE kv ("
	"	id INTEGER PRIMARY KEY,"
	"	key BLOB NOT NULL UNIQUE,"
	"	value BLOB NOT NULL,"
	"	revision INTEGER NOT NULL);"
	"CREATE TABLE head ("
	"	id INTEGER PRIMARY KEY CHECK (id = 1),"
	"	revision INTEGER NOT NULL);" /* of the last commit */
	"INSERT INTO head (id, revision) VALUES (1, 0);"
	"PRAGMA application_id = 1212566340;",
};

enum { VERSION = sizeof(migrations) / sizeof(migrations[0]) };

_Static_assert(APPLICATION_ID == 1212566340, "the pragma takes no expression");

/*
 * SQLite knows ENOSPC as SQLITE_FULL; a quota or a limit on file sizes it
 * calls an I/O error, and only the log's file remembers which.
 */
static bool
log_has_no_room(sqlite3 *db)
{
	sqlite3_file *log = NULL;
	int cause = 0;

	if (sqlite3_file_control(
		db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
	    log == NULL || log->pMethods == NULL)
		return false;
	(void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &cause);
	return cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
}

enum hf_err
store_file_error(sqlite3 *db)
{
	/* Without the extension in the upper bits. */
	int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff;

	if (code == SQLITE_FULL ||
	    (code == SQLITE_IOERR && log_has_no_room(db)))
		return HF_ERR_STORE_FULL;
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return HF_ERR_STORE_DAMAGED;
	if (code == SQLITE_NOMEM)
		return HF_ERR_NO_MEMORY;
	if (code == SQLITE_BUSY)
		return HF_ERR_BUSY;
	return HF_ERR_STORE;
}

static enum hf_err
fail(sqlite3 *db, const char *path, struct hf_why *why)
{
	/* "unable to open database file" is what SQLite has for all of these.
	 */
	if (db != NULL && (sqlite3_errcode(db) & 0xff) == SQLITE_CANTOPEN &&
	    sqlite3_system_errno(db) != 0)
		return hf_fail(why, HF_ERR_STORE,
		    "store %s cannot be opened: %s", path,
		    strerror(sqlite3_system_errno(db)));
	return hf_fail(why, store_file_error(db), "store %s: %s", path,
	    db == NULL ? "out of memory" : sqlite3_errmsg(db));
}

enum hf_err
store_file_lock(const char *path, int *fd, struct hf_why *why)
{
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s.lock", path);

	if (n < 0 || (size_t)n >= sizeof(name))
		return hf_fail(
		    why, HF_ERR_STORE, "store: the path is too long");

	int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (lock < 0 && errno == EACCES)
		return hf_fail(why, HF_ERR_STORE,
		    "store: %s: %s to uid %u; folder and files of the store "
		    "belong to the user that the service runs as",
		    name, strerror(errno), (unsigned)geteuid());
	if (lock < 0)
		return hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", name, strerror(errno));
	if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
		int cause = errno;

		(void)close(lock);
		if (cause == EWOULDBLOCK)
			return hf_fail(why, HF_ERR_STORE,
			    "store %s: another process is using it; if that is "
			    "the service, stop it first (systemctl stop "
			    "holdfast-keyd)",
			    path);
		return hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", name, strerror(cause));
	}
	*fd = lock;
	return HF_OK;
}

enum hf_err
store_file_make(const char *path, bool fresh, struct hf_why *why)
{
	int fd = open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	/* An existing file is not opened here: see store_file_sync. */
	if (fd < 0 && errno == EEXIST && !fresh && chmod(path, 0600) == 0)
		return HF_OK;
	if (fd < 0)
		return hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", path, strerror(errno));
	if (fchmod(fd, 0600) != 0) {
		(void)close(fd);
		return hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", path, strerror(errno));
	}
	(void)close(fd);
	return HF_OK;
}

enum hf_err
store_file_sync(const char *path, struct hf_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum hf_err err = HF_OK;

	if (fd < 0 || fsync(fd) != 0)
		err = hf_fail(
		    why, HF_ERR_STORE, "store: %s: %s", path, strerror(errno));
	fd_close(fd);
	return err == HF_OK ? store_file_sync_name(path, why) : err;
}

enum hf_err
store_file_sync_name(const char *path, struct hf_why *why)
{
	if (!folder_sync_name(path))
		return hf_fail(why, HF_ERR_STORE, "store: the folder of %s: %s",
		    path, strerror(errno));
	return HF_OK;
}

/*
 * WAL with synchronous=FULL: a commit is on the disk when it returns.
 * secure_delete: what is deleted or overwritten is zeroed in the file.
 * cell_size_check, trusted_schema: a file that somebody tampered with fails
 * early. The caches are small because the daemon has its own.
 */
static const char *const settings[] = {
	[STORE_FILE_READ] = "PRAGMA cell_size_check = ON;"
			    "PRAGMA trusted_schema = OFF;"
			    "PRAGMA cache_size = -256;"
			    "PRAGMA query_only = ON;",
	[STORE_FILE_WRITE] = "PRAGMA cell_size_check = ON;"
			     "PRAGMA trusted_schema = OFF;"
			     "PRAGMA cache_size = -2000;"
			     "PRAGMA secure_delete = ON;"
			     "PRAGMA synchronous = FULL;"
			     "PRAGMA temp_store = MEMORY;",
};

enum hf_err
store_file_connect(const char *path, enum store_file_mode mode, sqlite3 **out,
    struct hf_why *why)
{
	static const int flags[] = {
		[STORE_FILE_READ] = SQLITE_OPEN_READONLY,
		[STORE_FILE_WRITE] = SQLITE_OPEN_READWRITE,
	};
	sqlite3 *db = NULL;
	enum hf_err err;

	if (sqlite3_threadsafe() == 0)
		return hf_fail(
		    why, HF_ERR_STORE, "this SQLite was built without threads");
	if (sqlite3_open_v2(path, &db,
		flags[mode] | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		NULL) != SQLITE_OK ||
	    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) !=
		SQLITE_OK ||
	    sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
	    sqlite3_exec(db, settings[mode], NULL, NULL, NULL) != SQLITE_OK) {
		err = fail(db, path, why);
		(void)sqlite3_close(db);
		return err;
	}
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 2 * STORE_VALUE_MAX);
	*out = db;
	return HF_OK;
}

static enum hf_err
read_number(sqlite3 *db, const char *sql, const char *path, int64_t *out,
    struct hf_why *why)
{
	sqlite3_stmt *stmt = NULL;
	enum hf_err err = HF_OK;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		err = fail(db, path, why);
	else
		*out = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return err;
}

/* *version is 0 for an empty file. */
static enum hf_err
read_version(
    sqlite3 *db, const char *path, int64_t *version, struct hf_why *why)
{
	int64_t id = 0, number = 0, tables = 0;
	enum hf_err err;

	err = read_number(db, "PRAGMA application_id", path, &id, why);
	if (err == HF_OK)
		err =
		    read_number(db, "PRAGMA user_version", path, &number, why);
	if (err == HF_OK)
		err = read_number(db, "SELECT count(*) FROM sqlite_schema",
		    path, &tables, why);
	if (err != HF_OK)
		return err;
	if (id == 0 && number == 0 && tables == 0) {
		*version = 0;
		return HF_OK;
	}
	if (id != APPLICATION_ID || number < 1)
		return hf_fail(why, HF_ERR_STORE_DAMAGED,
		    "%s is an SQLite file, but not a store of Holdfast", path);
	if (number > VERSION)
		return hf_fail(why, HF_ERR_STORE,
		    "store %s has version %lld, made by a newer Holdfast; this "
		    "one knows versions up to %d",
		    path, (long long)number, VERSION);
	*version = number;
	return HF_OK;
}

enum hf_err
store_file_identify(sqlite3 *db, const char *path, struct hf_why *why)
{
	int64_t version = 0;
	enum hf_err err = read_version(db, path, &version, why);

	if (err == HF_OK && version == 0)
		return hf_fail(why, HF_ERR_STORE_DAMAGED,
		    "%s is empty, not a store of Holdfast", path);
	return err;
}

static enum hf_err
migrate_step(sqlite3 *db, int64_t version, const char *path, struct hf_why *why)
{
	char set_version[64];
	enum hf_err err;

	(void)snprintf(set_version, sizeof(set_version),
	    "PRAGMA user_version = %lld", (long long)version + 1);
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ==
		SQLITE_OK &&
	    sqlite3_exec(db, migrations[version], NULL, NULL, NULL) ==
		SQLITE_OK &&
	    sqlite3_exec(db, set_version, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return HF_OK;
	err = fail(db, path, why);
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* The mode stays with the file; asking again for what it has is free. */
static enum hf_err
use_wal(sqlite3 *db, const char *path, struct hf_why *why)
{
	sqlite3_stmt *stmt = NULL;
	enum hf_err err = HF_OK;

	if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &stmt,
		NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		err = fail(db, path, why);
	else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
		err = hf_fail(why, HF_ERR_STORE,
		    "store %s: its file system allows no write-ahead log",
		    path);
	(void)sqlite3_finalize(stmt);
	return err;
}

enum hf_err
store_file_migrate(sqlite3 *db, const char *path, struct hf_why *why)
{
	int64_t version = 0;
	enum hf_err err = read_version(db, path, &version, why);

	if (err == HF_OK)
		err = use_wal(db, path, why);
	for (; err == HF_OK && version < VERSION; version++)
		err = migrate_step(db, version, path, why);
	return err;
}

enum hf_err
store_file_check(sqlite3 *db, const char *path, bool quick, struct hf_why *why)
{
	const char *sql =
	    quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)";
	sqlite3_stmt *stmt = NULL;
	enum hf_err err = HF_OK;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW) {
		err = fail(db, path, why);
	} else {
		const char *said = (const char *)sqlite3_column_text(stmt, 0);

		if (said == NULL || strcmp(said, "ok") != 0)
			err = hf_fail(why, HF_ERR_STORE_DAMAGED,
			    "store %s is damaged: %s", path,
			    said == NULL ? "out of memory" : said);
	}
	(void)sqlite3_finalize(stmt);
	return err;
}

enum hf_err
store_file_prepare(
    sqlite3 *db, const char *sql, sqlite3_stmt **out, struct hf_why *why)
{
	if (sqlite3_prepare_v3(
		db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
		return HF_OK;
	return hf_fail(
	    why, store_file_error(db), "store: %s", sqlite3_errmsg(db));
}

int
store_file_bind(sqlite3_stmt *stmt, int column, struct hf_text key)
{
	return sqlite3_bind_blob(
	    stmt, column, key.ptr, (int)key.len, SQLITE_STATIC);
}
