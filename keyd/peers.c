/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BUCKETS = 256,
	STRANGERS_FEW = 16, /* of one address may come in any case */
};

struct peer {
	struct peer *next;
	struct peer_key key;
	unsigned connections;
	_Atomic size_t memory;
};

struct peers {
	struct peers_limits limits;
	pthread_mutex_t lock; /* for all but the atomics */
	unsigned strangers;
	_Atomic unsigned connections;
	_Atomic size_t memory;
	struct peer *bucket[BUCKETS];
};

enum hf_err
peers_new(const struct peers_limits *limits, struct peers **out)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (peers == NULL)
		return HF_ERR_NO_MEMORY;
	peers->limits = *limits;
	(void)pthread_mutex_init(&peers->lock, NULL);
	*out = peers;
	return HF_OK;
}

void
peers_free(struct peers *peers)
{
	if (peers == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (peers->bucket[i] != NULL) {
			struct peer *next = peers->bucket[i]->next;

			free(peers->bucket[i]);
			peers->bucket[i] = next;
		}
	(void)pthread_mutex_destroy(&peers->lock);
	free(peers);
}

static bool
same_key(const struct peer_key *a, const struct peer_key *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == PEER_UID)
		return a->uid == b->uid;
	if (a->kind == PEER_ADDRESS)
		return memcmp(a->address, b->address, sizeof(a->address)) == 0;
	return strcmp(a->cert, b->cert) == 0;
}

/* FNV-1a; the keys are uids and hashes, which nobody chooses freely, and
 * addresses, of which there are few at a time. */
static struct peer **
bucket_of(struct peers *peers, const struct peer_key *key)
{
	uint32_t hash = 2166136261U ^ (uint32_t)key->kind;

	if (key->kind == PEER_UID)
		hash = (hash ^ (uint32_t)key->uid) * 16777619U;
	if (key->kind == PEER_CERT)
		for (const char *s = key->cert; *s != '\0'; s++)
			hash = (hash ^ (uint8_t)*s) * 16777619U;
	if (key->kind == PEER_ADDRESS)
		for (size_t i = 0; i < sizeof(key->address); i++)
			hash = (hash ^ key->address[i]) * 16777619U;
	return &peers->bucket[(hash ^ hash >> 16) % BUCKETS];
}

static bool
is_privileged(const struct peer_key *key)
{
	return key->kind == PEER_UID &&
	    (key->uid == 0 || key->uid == geteuid());
}

static enum hf_err
find_or_add(struct peers *peers, const struct peer_key *key, struct peer **out)
{
	struct peer **bucket = bucket_of(peers, key);
	struct peer *peer = *bucket;

	while (peer != NULL && !same_key(&peer->key, key))
		peer = peer->next;
	if (peer == NULL) {
		peer = calloc(1, sizeof(*peer));
		if (peer == NULL)
			return HF_ERR_NO_MEMORY;
		peer->key = *key;
		peer->next = *bucket;
		*bucket = peer;
	}
	*out = peer;
	return HF_OK;
}

static void
drop_if_gone(struct peers *peers, struct peer *peer)
{
	struct peer **link = bucket_of(peers, &peer->key);

	if (peer->connections > 0)
		return;
	while (*link != peer)
		link = &(*link)->next;
	*link = peer->next;
	free(peer);
}

/*
 * Strangers are many and cost little, but their places are all that lets
 * anybody in: one address gets half of them, for others who come at the same
 * time.
 */
static bool
is_one_too_many(const struct peers *peers, const struct peer *peer)
{
	unsigned all = peers->limits.strangers, half = all / 2;

	if (peer->key.kind != PEER_ADDRESS)
		return peer->connections >= peers->limits.each;
	if (half < STRANGERS_FEW)
		half = STRANGERS_FEW;
	return peers->strangers >= all || peer->connections >= half;
}

static enum hf_err
count_in(struct peers *peers, const struct peer_key *key, struct peer **out)
{
	struct peer *peer = NULL;
	enum hf_err err = find_or_add(peers, key, &peer);

	if (err != HF_OK)
		return err;
	if (is_one_too_many(peers, peer)) {
		drop_if_gone(peers, peer);
		return HF_ERR_BUSY;
	}
	peer->connections++;
	if (key->kind == PEER_ADDRESS)
		peers->strangers++;
	*out = peer;
	return HF_OK;
}

static void
count_out(struct peers *peers, struct peer *peer)
{
	peer->connections--;
	if (peer->key.kind == PEER_ADDRESS)
		peers->strangers--;
	drop_if_gone(peers, peer);
}

enum hf_err
peers_join(struct peers *peers, const struct peer_key *key, struct peer **out)
{
	unsigned limit = peers->limits.connections;
	enum hf_err err = HF_ERR_BUSY;

	if (!is_privileged(key))
		limit -= peers->limits.reserve;
	(void)pthread_mutex_lock(&peers->lock);
	if (atomic_load(&peers->connections) < limit)
		err = count_in(peers, key, out);
	if (err == HF_OK)
		atomic_fetch_add(&peers->connections, 1);
	(void)pthread_mutex_unlock(&peers->lock);
	return err;
}

enum hf_err
peers_move(struct peers *peers, struct peer **peer, const struct peer_key *key)
{
	struct peer *old = *peer;
	enum hf_err err;

	(void)pthread_mutex_lock(&peers->lock);
	err = count_in(peers, key, peer);
	if (err == HF_OK)
		count_out(peers, old);
	(void)pthread_mutex_unlock(&peers->lock);
	return err;
}

void
peers_leave(struct peers *peers, struct peer *peer)
{
	(void)pthread_mutex_lock(&peers->lock);
	count_out(peers, peer);
	atomic_fetch_sub(&peers->connections, 1);
	(void)pthread_mutex_unlock(&peers->lock);
}

static size_t
share_of_one(const struct peers *peers)
{
	return peers->limits.memory / 2;
}

bool
peers_charge(struct peers *peers, struct peer *peer, size_t len, bool forced)
{
	size_t all = atomic_fetch_add(&peers->memory, len) + len;
	size_t one = atomic_fetch_add(&peer->memory, len) + len;

	if (forced ||
	    (all <= peers->limits.memory && one <= share_of_one(peers)))
		return true;
	peers_discharge(peers, peer, len);
	return false;
}

void
peers_discharge(struct peers *peers, struct peer *peer, size_t len)
{
	atomic_fetch_sub(&peers->memory, len);
	atomic_fetch_sub(&peer->memory, len);
}

bool
peers_is_over(const struct peers *peers, const struct peer *peer)
{
	return atomic_load_explicit(&peer->memory, memory_order_relaxed) >
	    share_of_one(peers);
}

unsigned
peers_connections(const struct peers *peers)
{
	return atomic_load(&peers->connections);
}

size_t
peers_memory(const struct peers *peers)
{
	return atomic_load(&peers->memory);
}
