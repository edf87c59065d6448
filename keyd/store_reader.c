/* SPDX-License-Identifier: Apache-2.0 */
#include "store_reader.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "lock.h"
#include "store_file.h"

static struct reader *
reader_take(struct store_readers *rs)
{
	struct reader *r;

	(void)pthread_mutex_lock(&rs->lock);
	while (rs->idle == NULL)
		(void)pthread_cond_wait(&rs->free, &rs->lock);
	r = rs->idle;
	rs->idle = r->next;
	(void)pthread_mutex_unlock(&rs->lock);
	return r;
}

static void
reader_give(struct store_readers *rs, struct reader *r)
{
	(void)pthread_mutex_lock(&rs->lock);
	r->next = rs->idle;
	rs->idle = r;
	(void)pthread_cond_signal(&rs->free);
	(void)pthread_mutex_unlock(&rs->lock);
}

/* A view that is present also when it is empty. */
static struct hf_bytes
column_bytes(sqlite3_stmt *stmt, int column)
{
	static const uint8_t nothing[1];
	const void *ptr = sqlite3_column_blob(stmt, column);
	int len = sqlite3_column_bytes(stmt, column);

	return bytes_of(ptr == NULL ? nothing : ptr, (size_t)len);
}

static enum hf_err
copy_value(sqlite3_stmt *stmt, struct store_value *out)
{
	struct hf_bytes value = column_bytes(stmt, 0);
	uint8_t *copy = malloc(value.len + 1);

	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(copy, value.ptr, value.len);
	*out = (struct store_value){
		.ptr = copy,
		.len = value.len,
		.revision = (uint64_t)sqlite3_column_int64(stmt, 1),
	};
	return HF_OK;
}

enum hf_err
store_readers_get(
    struct store_readers *rs, struct hf_text key, struct store_value *out)
{
	struct reader *r = reader_take(rs);
	enum hf_err err;
	int rc = store_file_bind(r->get, 1, key);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(r->get);
	if (rc == SQLITE_ROW)
		err = copy_value(r->get, out);
	else if (rc == SQLITE_DONE)
		err = HF_ERR_NOT_FOUND;
	else
		err = store_file_error(r->db);
	(void)sqlite3_reset(r->get);
	(void)sqlite3_clear_bindings(r->get);
	reader_give(rs, r);
	return err;
}

/* The keys of a list, as the range from <= key < to. */
struct range {
	char from[STORE_KEY_MAX + 1], to[STORE_KEY_MAX + 1];
	size_t from_len, to_len;
};

/*
 * No key holds a NUL or a byte 0xff, for keys are UTF-8. So what comes after
 * `after` starts at after + NUL, and what starts with `prefix` ends before
 * prefix + 0xff.
 */
static void
range_of(struct hf_text prefix, struct hf_text after, struct range *out)
{
	size_t common = prefix.len < after.len ? prefix.len : after.len;
	int order = common == 0 ? 0 : memcmp(after.ptr, prefix.ptr, common);
	bool later = after.ptr != NULL &&
	    (order > 0 || (order == 0 && after.len >= prefix.len));
	struct hf_text from = later ? after : prefix;

	if (from.len > 0)
		memcpy(out->from, from.ptr, from.len);
	out->from_len = from.len;
	if (later)
		out->from[out->from_len++] = '\0';
	if (prefix.len > 0)
		memcpy(out->to, prefix.ptr, prefix.len);
	out->to_len = prefix.len;
	out->to[out->to_len++] = (char)0xff;
}

static enum hf_err
walk(struct reader *r, store_each_fn *each, void *ctx)
{
	int rc;

	while ((rc = sqlite3_step(r->list)) == SQLITE_ROW) {
		struct hf_bytes key = column_bytes(r->list, 0);
		struct hf_bytes value = column_bytes(r->list, 1);
		uint64_t revision = (uint64_t)sqlite3_column_int64(r->list, 2);

		if (!each(ctx,
			(struct hf_text){ (const char *)key.ptr, key.len },
			value, revision))
			return HF_OK;
	}
	return rc == SQLITE_DONE ? HF_OK : store_file_error(r->db);
}

enum hf_err
store_readers_list(struct store_readers *rs, struct hf_text prefix,
    struct hf_text after, size_t limit, store_each_fn *each, void *ctx)
{
	struct range range;
	int64_t most = limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit;

	range_of(prefix, after, &range);

	struct reader *r = reader_take(rs);
	enum hf_err err;

	/* A blob of no bytes needs a pointer all the same, else it is NULL. */
	if (sqlite3_bind_blob(r->list, 1, range.from, (int)range.from_len,
		SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_bind_blob(r->list, 2, range.to, (int)range.to_len,
		SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_bind_int64(r->list, 3, most) == SQLITE_OK)
		err = walk(r, each, ctx);
	else
		err = store_file_error(r->db);
	(void)sqlite3_reset(r->list);
	(void)sqlite3_clear_bindings(r->list);
	reader_give(rs, r);
	return err;
}

/* -- Opening and closing -- */

void
store_readers_init(struct store_readers *rs)
{
	lock_init(&rs->lock);
	(void)pthread_cond_init(&rs->free, NULL);
}

enum hf_err
store_readers_open(
    struct store_readers *rs, const char *path, struct hf_why *why)
{
	enum hf_err err;

	for (size_t i = 0; i < STORE_READERS; i++) {
		struct reader *r = &rs->readers[i];

		err = store_file_connect(path, STORE_FILE_READ, &r->db, why);
		if (err == HF_OK)
			err = store_file_prepare(r->db,
			    "SELECT value, revision FROM kv WHERE key = ?1",
			    &r->get, why);
		if (err == HF_OK)
			err = store_file_prepare(r->db,
			    "SELECT key, value, revision FROM kv "
			    "WHERE key >= ?1 AND key < ?2 "
			    "ORDER BY key LIMIT ?3",
			    &r->list, why);
		if (err != HF_OK)
			return err;
		r->next = rs->idle;
		rs->idle = r;
	}
	return HF_OK;
}

void
store_readers_close(struct store_readers *rs)
{
	for (size_t i = 0; i < STORE_READERS; i++) {
		(void)sqlite3_finalize(rs->readers[i].get);
		(void)sqlite3_finalize(rs->readers[i].list);
		(void)sqlite3_close(rs->readers[i].db);
	}
	(void)pthread_mutex_destroy(&rs->lock);
	(void)pthread_cond_destroy(&rs->free);
}
