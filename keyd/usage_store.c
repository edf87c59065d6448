/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of key versions in the store: sealed, one record a version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "key.h"
#include "log.h"
#include "record.h"
#include "sealed_record.h"
#include "usage_internal.h"

enum {
	COUNTER = 1 + 3 * 8 + 4 * USAGE_KNOWN + 8 * USAGE_WORDS,
	AT_ONCE = 200, /* records in one commit */
};

void
usage_store_name(const uint8_t *id, uint32_t number, char *out)
{
	char hex[2 * HSM_ID + 1];

	hex_encode(id, HSM_ID, hex);
	(void)snprintf(out, KEY_STORE_NAME, "use/%s/%06x", hex, number);
}

/* -- Records -- */

static uint8_t *
counter_write(struct use_counter *c, unsigned class, uint8_t *p)
{
	*p++ = (uint8_t) class;
	put_u64(p, atomic_load(&c->count));
	put_u64(p + 8, atomic_load(&c->first));
	put_u64(p + 16, atomic_load(&c->last));
	p += 24;
	for (size_t i = 0; i < USAGE_KNOWN; i++, p += 4)
		put_u32(p, atomic_load(&c->known[i]));
	for (size_t i = 0; i < USAGE_WORDS; i++, p += 8)
		put_u64(p, atomic_load(&c->bits[i]));
	return p;
}

static void
counter_read(struct use_counter *c, const uint8_t *p)
{
	atomic_store(&c->count, get_u64(p));
	atomic_store(&c->first, get_u64(p + 8));
	atomic_store(&c->last, get_u64(p + 16));
	p += 24;
	for (size_t i = 0; i < USAGE_KNOWN; i++, p += 4)
		atomic_store(&c->known[i], get_u32(p));
	for (size_t i = 0; i < USAGE_WORDS; i++, p += 8)
		atomic_store(&c->bits[i], get_u64(p));
}

/* What a record says besides its counters, and who seals it: a restored key
 * may have moved to another keyring. */
struct standing {
	uint64_t reserved;
	char keyring[KEYRING_NAME];
	bool gone;
};

/* malloc'ed, sealed under `name`. */
static enum hf_err
record_write(struct usage *u, const struct standing *as, const char *name,
    struct hf_bytes *out)
{
	struct usages *all = u->key->all;
	uint8_t counters[USAGE_CLASSES * COUNTER];
	uint8_t *p = counters, *sealed;
	struct usage_record rec = { .reserved = as->reserved };
	size_t len;
	enum hf_err err;

	for (unsigned i = 0; i < USAGE_CLASSES; i++) {
		struct use_counter *c = atomic_load(&u->counters[i]);

		if (c != NULL)
			p = counter_write(c, i, p);
	}
	rec.counters = bytes_of(counters, (size_t)(p - counters));
	err = sealed_record_make(all->hierarchy, text_of(as->keyring),
	    text_of(name), &usage_schema, &rec, &sealed, &len);
	if (err == HF_OK)
		*out = bytes_of(sealed, len);
	return err;
}

/*
 * Where nobody has the key open any more, what is reserved is given back: who
 * opens it now has to reserve anew, and waits for us.
 */
static void
standing_of(struct usage *u, struct standing *out)
{
	struct usages *all = u->key->all;
	uint64_t taken;

	(void)pthread_mutex_lock(&all->lock);
	taken = atomic_load(&u->taken);
	if (u->key->refs == 0 && atomic_load(&u->reserved) > taken)
		atomic_store(&u->reserved, taken);
	out->reserved = atomic_load(&u->reserved);
	out->gone = u->gone;
	memcpy(out->keyring, u->key->keyring, sizeof(out->keyring));
	(void)pthread_mutex_unlock(&all->lock);
}

/* What nobody knows to have been reserved was at least made. */
static uint64_t
made(const struct usage *u)
{
	static const enum usage_class classes[] = { USAGE_ENCRYPT, USAGE_SIGN,
		USAGE_MAC };
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct usage_info info;

		usage_read(u, classes[i], &info);
		n += info.count;
	}
	return n;
}

/* `key` is not shared yet. */
static enum hf_err
record_take(struct usage_key *key, uint32_t number, struct hf_bytes plain)
{
	struct usage *u = usage_version_locked(key, number);
	struct usage_record rec;
	uint64_t taken;
	enum hf_err err = record_decode(&usage_schema, plain, &rec);

	if (u == NULL)
		return HF_ERR_NO_MEMORY;
	if (err != HF_OK)
		return err;
	if (rec.counters.len % COUNTER != 0)
		return HF_ERR_STORE_DAMAGED;
	for (size_t at = 0; at < rec.counters.len; at += COUNTER) {
		const uint8_t *p = rec.counters.ptr + at;
		struct use_counter *c;

		if (*p >= USAGE_CLASSES)
			return HF_ERR_STORE_DAMAGED;
		c = usage_counter(u, (enum usage_class) * p);
		if (c == NULL)
			return HF_ERR_NO_MEMORY;
		counter_read(c, p + 1);
	}
	taken = made(u) > rec.reserved ? made(u) : rec.reserved;
	atomic_store(&u->taken, taken);
	atomic_store(&u->reserved, rec.reserved);
	return HF_OK;
}

/* -- Reading -- */

/* Sealed records; the store may not be called while it lists. */
struct found {
	struct found *next;
	char name[KEY_STORE_NAME];
	size_t len;
	uint8_t value[];
};

struct finding {
	struct found *first;
	bool full;
};

static bool
find_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct finding *f = ctx;
	struct found *one = malloc(sizeof(*one) + value.len);

	(void)revision;
	if (one == NULL || key.len >= sizeof(one->name)) {
		free(one);
		f->full = true;
		return false;
	}
	memcpy(one->name, key.ptr, key.len);
	one->name[key.len] = '\0';
	memcpy(one->value, value.ptr, value.len);
	one->len = value.len;
	one->next = f->first;
	f->first = one;
	return true;
}

static enum hf_err
found_take(struct usages *all, struct usage_key *key, const struct found *one)
{
	AUTO_SECRET plain = { 0 };
	size_t len = strlen(one->name);
	uint8_t number[3];
	enum hf_err err;

	if (len < 6 ||
	    !hex_decode((struct hf_text){ one->name + len - 6, 6 }, number,
		sizeof(number)))
		return HF_ERR_STORE_DAMAGED;
	err = hierarchy_unseal(all->hierarchy, text_of(one->name),
	    bytes_of(one->value, one->len), &plain);
	if (err == HF_ERR_KEYRING_NOT_FOUND)
		return HF_OK; /* the key came back into another keyring */
	if (err != HF_OK)
		return err;
	return record_take(key,
	    (uint32_t)number[0] << 16 | (uint32_t)number[1] << 8 | number[2],
	    secret_view(&plain));
}

enum hf_err
usage_load(struct usages *all, struct usage_key *key)
{
	char prefix[KEY_STORE_NAME];
	struct finding f = { 0 };
	enum hf_err err;

	usage_store_name(key->id, 0, prefix);
	prefix[strlen(prefix) - 6] = '\0';
	err = store_list(all->store, text_of(prefix), (struct hf_text){ 0 }, 0,
	    find_each, &f);
	if (err == HF_OK && f.full)
		err = HF_ERR_NO_MEMORY;
	while (f.first != NULL) {
		struct found *one = f.first;

		if (err == HF_OK)
			err = found_take(all, key, one);
		f.first = one->next;
		free(one);
	}
	return err;
}

/* -- Reserving -- */

/* A small share of the limit: a crash may waste it. */
static uint64_t
block_of(uint64_t limit)
{
	uint64_t block = limit / 256;

	return block < 1 ? 1 : block < USAGE_BLOCK ? block : USAGE_BLOCK;
}

/* With `writing` held. */
static enum hf_err
reserve_up_to(struct usage *u, const struct standing *as)
{
	char name[KEY_STORE_NAME];
	struct store_write write;
	enum hf_err err;

	usage_store_name(u->key->id, u->number, name);
	if ((err = record_write(u, as, name, &write.value)) != HF_OK)
		return err;
	write.key = text_of(name);
	err = store_commit(u->key->all->store, NULL, 0, &write, 1, NULL);
	free((void *)(uintptr_t)write.value.ptr);
	if (err == HF_OK)
		atomic_store(&u->reserved, as->reserved);
	return err;
}

enum hf_err
usage_reserve(struct usage *u, uint64_t limit)
{
	struct usages *all = u->key->all;
	struct standing as;
	uint64_t taken;
	enum hf_err err = HF_OK;

	(void)pthread_mutex_lock(&all->writing);
	standing_of(u, &as);
	taken = atomic_load(&u->taken);
	if (as.gone)
		err = HF_ERR_VERSION_NOT_FOUND;
	else if (taken >= as.reserved && as.reserved < limit) {
		as.reserved = taken + block_of(limit);
		if (as.reserved > limit)
			as.reserved = limit;
		err = reserve_up_to(u, &as);
	}
	(void)pthread_mutex_unlock(&all->writing);
	return err;
}

/* -- Writing behind -- */

/* Those that were dirty; none of their keys is freed meanwhile. */
static struct usage *
dirty_take(struct usages *all)
{
	struct usage *first = NULL, *u, *next;

	(void)pthread_mutex_lock(&all->lock);
	for (u = atomic_exchange(&all->dirty, NULL); u != NULL; u = next) {
		next = u->next_dirty;
		u->key->held++;
		u->next_flush = first;
		first = u;
		/* From here on it may be marked again, before it is read. */
		atomic_store(&u->dirty, false);
	}
	(void)pthread_mutex_unlock(&all->lock);
	return first;
}

struct group {
	struct store_write writes[AT_ONCE];
	char names[AT_ONCE][KEY_STORE_NAME];
	struct usage *members[AT_ONCE];
	size_t count;
};

static enum hf_err
group_add(struct group *g, struct usage *u)
{
	struct store_write *w = &g->writes[g->count];
	char *name = g->names[g->count];
	struct standing as;
	enum hf_err err;

	standing_of(u, &as);
	if (as.gone)
		return HF_OK;
	usage_store_name(u->key->id, u->number, name);
	err = record_write(u, &as, name, &w->value);
	if (err == HF_ERR_KEYRING_NOT_FOUND) {
		usage_forget(u->key, u->number); /* shredded with its keyring */
		return HF_OK;
	}
	if (err != HF_OK)
		return err;
	w->key = text_of(name);
	g->members[g->count++] = u;
	return HF_OK;
}

static enum hf_err
group_commit(struct usages *all, struct group *g)
{
	enum hf_err err = HF_OK;

	if (g->count > 0)
		err = store_commit(
		    all->store, NULL, 0, g->writes, g->count, NULL);
	for (size_t i = 0; i < g->count; i++) {
		free((void *)(uintptr_t)g->writes[i].value.ptr);
		if (err != HF_OK)
			usage_mark(g->members[i]);
	}
	g->count = 0;
	return err;
}

/* Frees the keys that nobody has open and that have nothing left to write. */
static void
dirty_release(struct usages *all, struct usage *u)
{
	struct usage *next;

	(void)pthread_mutex_lock(&all->lock);
	for (; u != NULL; u = next) {
		next = u->next_flush;
		u->key->held--;
		usage_key_settle(u->key);
	}
	(void)pthread_mutex_unlock(&all->lock);
}

enum hf_err
usages_flush(struct usages *all)
{
	struct group *g;
	struct usage *taken;
	enum hf_err err = HF_OK, one;

	if (atomic_load(&all->dirty) == NULL)
		return HF_OK;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return HF_ERR_NO_MEMORY;
	(void)pthread_mutex_lock(&all->writing);
	taken = dirty_take(all);
	for (struct usage *u = taken; u != NULL; u = u->next_flush) {
		if ((one = group_add(g, u)) != HF_OK)
			usage_mark(u);
		if (one == HF_OK && g->count == AT_ONCE)
			one = group_commit(all, g);
		if (one != HF_OK)
			err = one;
	}
	if ((one = group_commit(all, g)) != HF_OK)
		err = one;
	dirty_release(all, taken);
	(void)pthread_mutex_unlock(&all->writing);
	free(g);
	return err;
}
