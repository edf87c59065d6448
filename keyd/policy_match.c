/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "policy_rule.h"

/*
 * Finds the deciding pattern without looking at the others. Patterns without
 * a wildcard stand in a hash table by their text, the others in one by their
 * head, the text before the first wildcard. The first rule of priority is
 * "first wildcard later", which is "longer head": so it is enough to walk the
 * path once, hashing as it goes, note each length at which a head ends, and try
 * the longest first. Patterns with the same head stand side by side in the
 * order of the remaining rules.
 */
enum { LENGTH_WORDS = POLICY_PATH_MAX / 64 + 1 };

struct slot {
	uint64_t hash;
	uint32_t first; /* entry */
	uint32_t count; /* entries with this head; 0: an empty slot */
};

struct index {
	struct slot *slots;
	size_t mask; /* number of slots - 1 */
};

struct policy_table {
	const struct policy_rule **rules; /* what the entries point into */
	struct policy_entry *entries;
	size_t count;
	struct index exact, heads;
	uint64_t lengths[LENGTH_WORDS]; /* at which a head ends */
};

/* FNV-1a, because it can be looked at after every byte. */
static const uint64_t hash_start = UINT64_C(0xcbf29ce484222325);

static inline uint64_t
hash_step(uint64_t h, char c)
{
	return (h ^ (uint8_t)c) * UINT64_C(0x100000001b3);
}

static uint64_t
hash_of(struct hf_text t)
{
	uint64_t h = hash_start;

	for (size_t i = 0; i < t.len; i++)
		h = hash_step(h, t.ptr[i]);
	return h;
}

static inline size_t
slot_of(const struct index *index, uint64_t hash)
{
	return (size_t)(hash ^ hash >> 32) & index->mask;
}

/* -- Patterns -- */

/* Whether the "+" at `i` is a segment of its own; else it is a plain "+". */
static bool
is_plus(struct hf_text t, size_t i)
{
	return t.ptr[i] == '+' && (i == 0 || t.ptr[i - 1] == '/') &&
	    (i + 1 == t.len || t.ptr[i + 1] == '/');
}

static void
describe(struct policy_entry *e, struct hf_text pattern)
{
	e->pattern = pattern;
	e->star = pattern.ptr[pattern.len - 1] == '*';
	e->head = pattern.len - e->star;
	for (size_t i = 0; i < pattern.len; i++) {
		if (!is_plus(pattern, i))
			continue;
		if (e->plus++ == 0)
			e->head = i;
	}
}

static bool
is_exact(const struct policy_entry *e)
{
	return !e->star && e->plus == 0;
}

static struct hf_text
head_of(const struct policy_entry *e)
{
	return (struct hf_text){ e->pattern.ptr, e->head };
}

/* The head is known to match. */
static bool
matches(const struct policy_entry *e, struct hf_text path)
{
	size_t end = e->pattern.len - e->star, at = e->head;

	if (path.len < e->head)
		return false;
	for (size_t i = e->head; i < end; i++) {
		if (is_plus(e->pattern, i)) {
			while (at < path.len && path.ptr[at] != '/')
				at++;
			continue;
		}
		if (at == path.len || path.ptr[at] != e->pattern.ptr[i])
			return false;
		at++;
	}
	return e->star || at == path.len;
}

static int
compare_texts(struct hf_text a, struct hf_text b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int c = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

/* Exact ones first; then by head, and within a head the winner first. */
static int
compare_entries(const void *pa, const void *pb)
{
	const struct policy_entry *a = pa, *b = pb;
	int c;

	if (is_exact(a) != is_exact(b))
		return is_exact(a) ? -1 : 1;
	if ((c = compare_texts(head_of(a), head_of(b))) != 0)
		return c;
	if (a->star != b->star)
		return a->star ? 1 : -1;
	if (a->plus != b->plus)
		return a->plus > b->plus ? 1 : -1;
	if (a->pattern.len != b->pattern.len)
		return a->pattern.len < b->pattern.len ? 1 : -1;
	return -compare_texts(a->pattern, b->pattern);
}

/* By pattern; equal patterns in the order of files and lines. */
static int
compare_rules(const void *pa, const void *pb)
{
	const struct policy_rule *a = *(const struct policy_rule *const *)pa;
	const struct policy_rule *b = *(const struct policy_rule *const *)pb;
	int c = compare_texts(a->pattern, b->pattern);

	if (c != 0)
		return c;
	if ((c = strcmp(a->file, b->file)) != 0)
		return c;
	return (a->line > b->line) - (a->line < b->line);
}

/* -- Building -- */

static size_t
collect_rules(const struct policy *policies, size_t count,
    const struct policy_mask *mask, const struct policy_rule **out)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (!mask_has(mask, i))
			continue;
		for (size_t j = 0; j < policies[i].rule_count; j++, n++)
			if (out != NULL)
				out[n] = &policies[i].rules[j];
	}
	return n;
}

/* One entry for each run of equal patterns. */
static void
group_rules(struct policy_table *t, size_t rules)
{
	struct policy_entry *e = NULL;

	for (size_t i = 0; i < rules; i++) {
		struct hf_text pattern = t->rules[i]->pattern;

		if (e == NULL || !text_equal(e->pattern, pattern)) {
			e = &t->entries[t->count++];
			describe(e, pattern);
			e->rules = &t->rules[i];
		}
		e->rule_count++;
	}
}

static enum hf_err
index_new(struct index *index, size_t count)
{
	size_t slots = 8;

	while (slots < 2 * count)
		slots *= 2;
	index->slots = calloc(slots, sizeof(*index->slots));
	if (index->slots == NULL)
		return HF_ERR_NO_MEMORY;
	index->mask = slots - 1;
	return HF_OK;
}

static void
index_add(struct index *index, uint64_t hash, uint32_t first, uint32_t count)
{
	size_t i = slot_of(index, hash);

	while (index->slots[i].count != 0)
		i = (i + 1) & index->mask;
	index->slots[i] = (struct slot){ hash, first, count };
}

static void
fill_indexes(struct policy_table *t)
{
	size_t i = 0, run;

	for (; i < t->count && is_exact(&t->entries[i]); i++)
		index_add(
		    &t->exact, hash_of(t->entries[i].pattern), (uint32_t)i, 1);
	for (; i < t->count; i += run) {
		struct hf_text head = head_of(&t->entries[i]);

		for (run = 1; i + run < t->count; run++)
			if (!text_equal(head_of(&t->entries[i + run]), head))
				break;
		index_add(&t->heads, hash_of(head), (uint32_t)i, (uint32_t)run);
		t->lengths[head.len / 64] |= UINT64_C(1) << (head.len % 64);
	}
}

enum hf_err
policy_table_new(const struct policy *policies, size_t count,
    const struct policy_mask *mask, struct policy_table **out)
{
	size_t rules = collect_rules(policies, count, mask, NULL);
	struct policy_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return HF_ERR_NO_MEMORY;
	t->rules = calloc(rules + 1, sizeof(const struct policy_rule *));
	t->entries = calloc(rules + 1, sizeof(*t->entries));
	if (t->rules == NULL || t->entries == NULL ||
	    index_new(&t->exact, rules) != HF_OK ||
	    index_new(&t->heads, rules) != HF_OK) {
		policy_table_free(t);
		return HF_ERR_NO_MEMORY;
	}
	(void)collect_rules(policies, count, mask, t->rules);
	qsort(
	    t->rules, rules, sizeof(const struct policy_rule *), compare_rules);
	group_rules(t, rules);
	qsort(t->entries, t->count, sizeof(*t->entries), compare_entries);
	fill_indexes(t);
	*out = t;
	return HF_OK;
}

void
policy_table_free(struct policy_table *table)
{
	if (table == NULL)
		return;
	free(table->exact.slots);
	free(table->heads.slots);
	free(table->entries);
	free(table->rules);
	free(table);
}

/* -- Looking up -- */

/* The slot whose head (or pattern) is the first `len` bytes of `path`. */
static const struct slot *
index_find(const struct policy_table *t, const struct index *index,
    uint64_t hash, const char *path, size_t len)
{
	struct hf_text text = { path, len };

	for (size_t i = slot_of(index, hash);; i = (i + 1) & index->mask) {
		const struct slot *slot = &index->slots[i];

		if (slot->count == 0)
			return NULL;
		if (slot->hash == hash &&
		    text_equal(head_of(&t->entries[slot->first]), text))
			return slot;
	}
}

static const struct policy_entry *
find_exact(const struct policy_table *t, struct hf_text path)
{
	const struct slot *slot =
	    index_find(t, &t->exact, hash_of(path), path.ptr, path.len);

	return slot == NULL ? NULL : &t->entries[slot->first];
}

/* The winner among the patterns with one head. `bare` may equal `path`. */
static const struct policy_entry *
find_in_head(const struct policy_table *t, const struct slot *slot,
    struct hf_text path, struct hf_text bare)
{
	for (uint32_t i = 0; i < slot->count; i++) {
		const struct policy_entry *e = &t->entries[slot->first + i];

		if (matches(e, path) ||
		    (bare.len != path.len && matches(e, bare)))
			return e;
	}
	return NULL;
}

/* The lengths at which `path` begins with a head, as bits. */
static void
find_heads(const struct policy_table *t, struct hf_text path,
    uint64_t hits[LENGTH_WORDS])
{
	uint64_t h = hash_start;

	for (size_t len = 0; len <= path.len; len++) {
		if ((t->lengths[len / 64] >> (len % 64) & 1) != 0 &&
		    index_find(t, &t->heads, h, path.ptr, len) != NULL)
			hits[len / 64] |= UINT64_C(1) << (len % 64);
		if (len < path.len)
			h = hash_step(h, path.ptr[len]);
	}
}

/* The longest head with a pattern that matches has the winner. */
static const struct policy_entry *
find_wild(
    const struct policy_table *t, struct hf_text path, struct hf_text bare)
{
	uint64_t hits[LENGTH_WORDS] = { 0 };

	find_heads(t, path, hits);
	for (size_t w = path.len / 64 + 1; w-- > 0;) {
		while (hits[w] != 0) {
			size_t bit = 63 - (size_t)__builtin_clzll(hits[w]);
			struct hf_text head = { path.ptr, w * 64 + bit };
			const struct policy_entry *e = find_in_head(t,
			    index_find(t, &t->heads, hash_of(head), head.ptr,
				head.len),
			    path, bare);

			if (e != NULL)
				return e;
			hits[w] &= ~(UINT64_C(1) << bit);
		}
	}
	return NULL;
}

const struct policy_entry *
policy_table_find(
    const struct policy_table *table, struct hf_text path, bool list)
{
	const struct policy_entry *e = find_exact(table, path);
	struct hf_text bare = path;

	if (e != NULL)
		return e;
	if (list && path.ptr[path.len - 1] == '/') {
		bare.len--;
		if ((e = find_exact(table, bare)) != NULL)
			return e;
	}
	return find_wild(table, path, bare);
}
