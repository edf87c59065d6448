/* SPDX-License-Identifier: Apache-2.0 */
#include "pin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "crypto_derive.h"
#include "record.h"
#include "sealed_record.h"
#include "session_key.h"

enum { SALT = 16, HASH = 32, SUBJECT = 65, STORE_NAME = 80, TRIES = 20 };

static const char prefix[] = "pin/";

/*
 * Who has a PIN, so that the others do not wait for the store. Kept by what
 * the store tells of its commits.
 */
struct entry {
	struct entry *next;
	char subject[SUBJECT];
	bool known;         /* the salt: no commit since it was read */
	uint8_t salt[SALT]; /* of the PIN that is set */
};

struct pins {
	struct store *store;
	struct hierarchy *hierarchy;
	pthread_rwlock_t lock;
	struct entry *first;
	_Atomic size_t count;
	uint64_t commits;        /* of PINs */
	pthread_mutex_t judging; /* one attempt at a time */
};

/* -- Subjects -- */

static void
subject_of(const struct identity *who, char out[SUBJECT])
{
	if (who->local)
		(void)snprintf(out, SUBJECT, "%u", (unsigned)who->uid);
	else
		(void)snprintf(out, SUBJECT, "%s", who->cert_sha256);
}

static bool
all_of(struct hf_text t, const char *allowed)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.ptr[i] == '\0' || strchr(allowed, t.ptr[i]) == NULL)
			return false;
	return true;
}

/* A number as it would be printed, or 64 hexadecimal digits. */
static bool
subject_valid(struct hf_text t)
{
	if (t.len == 64)
		return all_of(t, "0123456789abcdef");
	if (t.len == 0 || t.len > 10 || !all_of(t, "0123456789"))
		return false;
	return t.ptr[0] != '0' || t.len == 1;
}

static void
store_name(const char *subject, char out[STORE_NAME])
{
	(void)snprintf(out, STORE_NAME, "%s%s", prefix, subject);
}

/* -- Who has one -- */

static struct entry **
entry_find(struct pins *pins, struct hf_text subject)
{
	struct entry **link = &pins->first;

	while (*link != NULL && !text_is(subject, (*link)->subject))
		link = &(*link)->next;
	return link;
}

static bool
entry_add(struct pins *pins, struct hf_text subject)
{
	struct entry *e;

	if (subject.len >= SUBJECT || *entry_find(pins, subject) != NULL)
		return true;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return false;
	memcpy(e->subject, subject.ptr, subject.len);
	e->next = pins->first;
	pins->first = e;
	(void)atomic_fetch_add(&pins->count, 1);
	return true;
}

/*
 * A commit tells a name, not whether it was written or deleted, and the store
 * must not be asked here: whoever is named is taken to have a PIN, and login
 * finds out.
 */
static void
on_commit(void *ctx, struct hf_text key, uint64_t revision)
{
	struct pins *pins = ctx;
	size_t skip = sizeof(prefix) - 1;
	struct hf_text subject;
	struct entry *e;

	(void)revision;
	if (!text_starts(key, text_of(prefix)))
		return;
	(void)pthread_rwlock_wrlock(&pins->lock);
	pins->commits++;
	subject = (struct hf_text){ key.ptr + skip, key.len - skip };
	if (entry_add(pins, subject) &&
	    (e = *entry_find(pins, subject)) != NULL)
		e->known = false;
	(void)pthread_rwlock_unlock(&pins->lock);
}

static void
entry_forget(struct pins *pins, struct hf_text subject)
{
	struct entry **link, *e;

	(void)pthread_rwlock_wrlock(&pins->lock);
	link = entry_find(pins, subject);
	e = *link;
	if (e != NULL) {
		*link = e->next;
		(void)atomic_fetch_sub(&pins->count, 1);
	}
	(void)pthread_rwlock_unlock(&pins->lock);
	free(e);
}

static bool
open_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct pins *pins = ctx;
	size_t skip = sizeof(prefix) - 1;

	(void)value;
	(void)revision;
	return entry_add(
	    pins, (struct hf_text){ key.ptr + skip, key.len - skip });
}

enum hf_err
pins_open(struct store *store, struct hierarchy *h, struct pins **out)
{
	struct pins *pins = calloc(1, sizeof(*pins));
	enum hf_err err;

	if (pins == NULL)
		return HF_ERR_NO_MEMORY;
	pins->store = store;
	pins->hierarchy = h;
	(void)pthread_rwlock_init(&pins->lock, NULL);
	(void)pthread_mutex_init(&pins->judging, NULL);
	err = store_list(
	    store, text_of(prefix), (struct hf_text){ 0 }, 0, open_each, pins);
	if (err != HF_OK) {
		pins_close(pins);
		return err;
	}
	store_watch(store, on_commit, pins);
	*out = pins;
	return HF_OK;
}

void
pins_close(struct pins *pins)
{
	if (pins == NULL)
		return;
	while (pins->first != NULL) {
		struct entry *next = pins->first->next;

		free(pins->first);
		pins->first = next;
	}
	(void)pthread_rwlock_destroy(&pins->lock);
	(void)pthread_mutex_destroy(&pins->judging);
	free(pins);
}

bool
pin_needed(struct pins *pins, const struct identity *who)
{
	char subject[SUBJECT];
	bool found;

	if (atomic_load(&pins->count) == 0)
		return false;
	subject_of(who, subject);
	(void)pthread_rwlock_rdlock(&pins->lock);
	found = *entry_find(pins, text_of(subject)) != NULL;
	(void)pthread_rwlock_unlock(&pins->lock);
	return found;
}

/* -- Records -- */

struct pin {
	uint8_t salt[SALT], hash[HASH];
	uint64_t failures;
	uint64_t revision;
};

static enum hf_err
pin_read(struct pins *pins, const char *subject, struct pin *out)
{
	AUTO_SECRET plain = { 0 };
	struct pin_record rec;
	char stored[STORE_NAME];
	uint64_t revision;
	enum hf_err err;

	*out = (struct pin){ 0 };
	store_name(subject, stored);
	if ((err = sealed_record_load(pins->store, pins->hierarchy,
		 text_of(stored), &pin_schema, &plain, &rec, &revision)) !=
	    HF_OK)
		return err;
	memcpy(out->salt, rec.salt.ptr, SALT);
	memcpy(out->hash, rec.hash.ptr, HASH);
	out->failures = rec.failures;
	out->revision = revision;
	return HF_OK;
}

/* Unless somebody wrote it since it was read; `always`: all the same. */
static enum hf_err
pin_write(struct pins *pins, const char *subject, struct pin *pin, bool always)
{
	const struct pin_record rec = { bytes_of(pin->salt, SALT),
		bytes_of(pin->hash, HASH), pin->failures };
	uint8_t plain[256], sealed[256 + SEAL_EXTRA];
	struct store_cond cond;
	char stored[STORE_NAME];
	size_t len;
	enum hf_err err;

	store_name(subject, stored);
	cond = (struct store_cond){ text_of(stored), pin->revision };
	if ((err = record_encode(
		 &pin_schema, &rec, plain, sizeof(plain), &len)) == HF_OK &&
	    (err = hierarchy_seal(pins->hierarchy, TEXT("default"),
		 text_of(stored), bytes_of(plain, len), sealed)) == HF_OK)
		err = store_commit(pins->store, &cond, always ? 0 : 1,
		    &(struct store_write){
			text_of(stored), bytes_of(sealed, len + SEAL_EXTRA) },
		    1, &pin->revision);
	bytes_wipe(plain, sizeof(plain));
	return err;
}

/* It takes 16 MiB, all of them locked: more than a shell's limit allows. */
static enum hf_err
pin_hash(struct hf_bytes pin, const uint8_t salt[SALT], uint8_t out[HASH])
{
	enum hf_err err = crypto_scrypt(pin, bytes_of(salt, SALT), out);

	return err == HF_ERR_NO_MEMORY ? HF_ERR_MEMORY_LOCK : err;
}

/* -- Setting -- */

enum hf_err
pin_set(struct pins *pins, struct hf_text subject, struct hf_bytes pin,
    struct hf_why *why)
{
	struct pin fresh = { 0 };
	char name[SUBJECT] = "";
	enum hf_err err;

	if (!subject_valid(subject))
		return hf_fail(why, HF_ERR_BAD_NAME,
		    "a PIN is for a uid (a number) or a client certificate "
		    "(64 hexadecimal digits)");
	memcpy(name, subject.ptr, subject.len);
	if ((err = crypto_random(fresh.salt, SALT)) == HF_OK &&
	    (err = pin_hash(pin, fresh.salt, fresh.hash)) == HF_OK)
		err = pin_write(pins, name, &fresh, true);
	bytes_wipe(&fresh, sizeof(fresh));
	if (err == HF_ERR_MEMORY_LOCK)
		return hf_fail(why, err,
		    "hashing a PIN takes 16 MiB of locked memory, which the "
		    "service may not have: raise its RLIMIT_MEMLOCK");
	return err;
}

enum hf_err
pin_remove(struct pins *pins, struct hf_text subject)
{
	char name[SUBJECT] = "", stored[STORE_NAME];
	struct pin pin;
	enum hf_err err;

	if (!subject_valid(subject))
		return HF_ERR_BAD_NAME;
	memcpy(name, subject.ptr, subject.len);
	store_name(name, stored);
	(void)pthread_mutex_lock(&pins->judging);
	if ((err = pin_read(pins, name, &pin)) == HF_OK)
		err = store_commit(pins->store, NULL, 0,
		    &(struct store_write){ text_of(stored), { NULL, 0 } }, 1,
		    NULL);
	if (err == HF_OK || err == HF_ERR_NOT_FOUND)
		entry_forget(pins, subject);
	(void)pthread_mutex_unlock(&pins->judging);
	bytes_wipe(&pin, sizeof(pin));
	return err;
}

/* -- Login -- */

/* Counts the attempt, then judges it; the count goes back when it was right. */
static enum hf_err
judge(struct pins *pins, const char *subject, struct hf_bytes given,
    struct pin *pin)
{
	uint8_t hash[HASH];
	bool right;
	enum hf_err err;

	if ((err = pin_read(pins, subject, pin)) != HF_OK)
		return err;
	if (pin->failures >= PIN_ATTEMPTS)
		return HF_ERR_PIN_LOCKED;
	pin->failures++;
	if ((err = pin_write(pins, subject, pin, false)) != HF_OK)
		return err;
	if ((err = pin_hash(given, pin->salt, hash)) != HF_OK)
		return err;
	right = bytes_equal_ct(bytes_of(hash, HASH), bytes_of(pin->hash, HASH));
	bytes_wipe(hash, sizeof(hash));
	if (!right)
		return pin->failures >= PIN_ATTEMPTS ? HF_ERR_PIN_LOCKED
						     : HF_ERR_PIN_WRONG;
	pin->failures = 0;
	return pin_write(pins, subject, pin, false);
}

static enum hf_err
login_seal(struct pins *pins, const struct identity *who,
    const uint8_t salt[SALT], uint8_t *login, size_t *len)
{
	const struct login_record rec = { bytes_of(salt, SALT) };
	char identity[CALLER_IDENTITY];
	uint8_t plain[64];
	enum hf_err err;

	caller_identity(who, "login", identity);
	if ((err = record_encode(
		 &login_schema, &rec, plain, sizeof(plain), len)) != HF_OK)
		return err;
	err = hierarchy_seal(pins->hierarchy, TEXT("default"),
	    text_of(identity), bytes_of(plain, *len), login);
	*len += SEAL_EXTRA;
	return err;
}

enum hf_err
pin_login(struct pins *pins, const struct identity *who, struct hf_bytes given,
    uint8_t *login, size_t *len)
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;
	char subject[SUBJECT];
	struct pin pin = { 0 };

	subject_of(who, subject);
	(void)pthread_mutex_lock(&pins->judging);
	for (int i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++)
		err = judge(pins, subject, given, &pin);
	(void)pthread_mutex_unlock(&pins->judging);
	if (err == HF_ERR_NOT_FOUND) {
		entry_forget(pins, text_of(subject));
		memset(pin.salt, 0, SALT);
		err = HF_OK;
	}
	if (err == HF_OK)
		err = login_seal(pins, who, pin.salt, login, len);
	bytes_wipe(&pin, sizeof(pin));
	return err;
}

/* Reads the salt where a commit made it unknown. */
static enum hf_err
salt_learn(struct pins *pins, const char *subject)
{
	struct pin pin = { 0 };
	struct entry *e;
	uint64_t commits;
	enum hf_err err;

	(void)pthread_rwlock_rdlock(&pins->lock);
	commits = pins->commits;
	(void)pthread_rwlock_unlock(&pins->lock);
	err = pin_read(pins, subject, &pin);
	if (err == HF_ERR_NOT_FOUND)
		entry_forget(pins, text_of(subject));
	if (err == HF_OK) {
		(void)pthread_rwlock_wrlock(&pins->lock);
		e = *entry_find(pins, text_of(subject));
		if (e != NULL && pins->commits == commits) {
			memcpy(e->salt, pin.salt, SALT);
			e->known = true;
		}
		(void)pthread_rwlock_unlock(&pins->lock);
	}
	bytes_wipe(&pin, sizeof(pin));
	return err;
}

/* HF_ERR_DEFER when the salt must be read first, HF_ERR_NOT_FOUND when the
 * caller has no PIN. */
static enum hf_err
salt_get(struct pins *pins, const char *subject, uint8_t salt[SALT])
{
	enum hf_err err = HF_ERR_NOT_FOUND;
	struct entry *e;

	(void)pthread_rwlock_rdlock(&pins->lock);
	e = *entry_find(pins, text_of(subject));
	if (e != NULL)
		err = e->known ? HF_OK : HF_ERR_DEFER;
	if (err == HF_OK)
		memcpy(salt, e->salt, SALT);
	(void)pthread_rwlock_unlock(&pins->lock);
	return err;
}

static enum hf_err
login_open(struct pins *pins, const struct identity *who, struct hf_bytes login,
    const uint8_t salt[SALT])
{
	AUTO_SECRET plain = { 0 };
	struct login_record rec;
	char identity[CALLER_IDENTITY];
	enum hf_err err;

	if (login.len <= SEAL_EXTRA)
		return HF_ERR_LOGIN_REQUIRED;
	caller_identity(who, "login", identity);
	err =
	    hierarchy_unseal(pins->hierarchy, text_of(identity), login, &plain);
	if (err == HF_OK)
		err = record_decode(&login_schema, secret_view(&plain), &rec);
	if (err == HF_ERR_STORE_DAMAGED)
		return HF_ERR_LOGIN_REQUIRED;
	if (err != HF_OK)
		return err;
	return bytes_equal_ct(rec.salt, bytes_of(salt, SALT))
	    ? HF_OK
	    : HF_ERR_LOGIN_REQUIRED;
}

enum hf_err
pin_check_login(struct pins *pins, const struct identity *who, bool may_block,
    struct hf_bytes login)
{
	char subject[SUBJECT];
	uint8_t salt[SALT];
	enum hf_err err;

	subject_of(who, subject);
	err = salt_get(pins, subject, salt);
	if (err == HF_ERR_DEFER && may_block) {
		if ((err = salt_learn(pins, subject)) == HF_OK)
			err = salt_get(pins, subject, salt);
		if (err == HF_ERR_DEFER)
			return HF_ERR_BUSY; /* set anew all the time */
	}
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	return err != HF_OK ? err : login_open(pins, who, login, salt);
}
