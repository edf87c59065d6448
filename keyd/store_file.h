/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_STORE_FILE_H
#define KEYD_STORE_FILE_H

#include <stdbool.h>

#include <sqlite3.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * The SQLite file as Holdfast keeps it: who may have it, its schema, and what
 * every connection to it is told. For the files of the store on SQLite.
 *
 * The file is made with mode 0600, and SQLite gives its log (PATH-wal) and its
 * shared index (PATH-shm) the same. PATH.lock is held with flock(2) by the one
 * process that uses the store; the lock goes with the process, the file stays.
 */

/* *fd gets the lock, close() gives it back. HF_ERR_STORE when it is taken. */
enum hf_err store_file_lock(const char *path, int *fd, struct hf_why *why);

/* Makes an empty file, mode 0600; an existing one is HF_OK unless `fresh`. */
enum hf_err store_file_make(const char *path, bool fresh, struct hf_why *why);

enum store_file_mode { STORE_FILE_READ, STORE_FILE_WRITE };

/* A connection for one thread at a time. */
enum hf_err store_file_connect(const char *path, enum store_file_mode mode,
    sqlite3 **out, struct hf_why *why);

/*
 * Brings the schema to this version, one transaction a step. Refuses what is
 * not a store of Holdfast, and a store of a newer version.
 */
enum hf_err store_file_migrate(
    sqlite3 *db, const char *path, struct hf_why *why);

/* HF_ERR_STORE_DAMAGED unless it is a store of Holdfast, of a version known. */
enum hf_err store_file_identify(
    sqlite3 *db, const char *path, struct hf_why *why);

/* `quick` leaves out the comparison of the index with the table. */
enum hf_err store_file_check(
    sqlite3 *db, const char *path, bool quick, struct hf_why *why);

/*
 * Puts the file and its name on the disk. Only while this process has no
 * connection to it: closing any descriptor of a file drops the locks that
 * SQLite holds on it (fcntl(2)).
 */
enum hf_err store_file_sync(const char *path, struct hf_why *why);

/* Puts the name on the disk. */
enum hf_err store_file_sync_name(const char *path, struct hf_why *why);

/* A statement that is used again and again; sqlite3_finalize() it. */
enum hf_err store_file_prepare(
    sqlite3 *db, const char *sql, sqlite3_stmt **out, struct hf_why *why);

/* Binds a key of the store, which must stay until the statement is reset. */
int store_file_bind(sqlite3_stmt *stmt, int column, struct hf_text key);

/* What SQLite's last error on `db` means to us. */
enum hf_err store_file_error(sqlite3 *db);

#endif
