/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_PEERS_H
#define KEYD_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/err.h>

/*
 * Who is connected how often, and how much memory their messages hold: what
 * one uid or one certificate may take away from the others. All functions are
 * safe from any thread.
 */
struct peers;
struct peer;

struct peer_key {
	enum peer_kind {
		PEER_UID,
		PEER_CERT,
		PEER_ADDRESS, /* TLS before its handshake: a stranger */
	} kind;
	uid_t uid;
	uint8_t address[8]; /* IPv4, or the network of an IPv6 address */
	char cert[65];      /* SHA-256 in hexadecimal */
};

struct peers_limits {
	unsigned connections; /* in all */
	unsigned reserve;     /* of these, for uid 0 and our own uid alone */
	unsigned each;        /* of one peer */
	unsigned strangers;   /* of all of them */
	size_t memory;        /* in all; one peer may take half of it */
};

enum hf_err peers_new(const struct peers_limits *limits, struct peers **out);
void peers_free(struct peers *peers); /* NULL is fine */

/* Counts a connection. HF_ERR_BUSY: one more is too many. */
enum hf_err peers_join(
    struct peers *peers, const struct peer_key *key, struct peer **out);

/*
 * Counts a connection of *peer as one of `key` from now on: the handshake
 * told who it is. HF_ERR_BUSY leaves it where it was.
 */
enum hf_err peers_move(
    struct peers *peers, struct peer **peer, const struct peer_key *key);

/* The last connection of a peer takes it along. */
void peers_leave(struct peers *peers, struct peer *peer);

/*
 * Charges memory. False: it would be too much, and nothing was charged; with
 * `forced` it is charged all the same.
 */
bool peers_charge(
    struct peers *peers, struct peer *peer, size_t len, bool forced);
void peers_discharge(struct peers *peers, struct peer *peer, size_t len);

/* Whether that was so often that the peer has more than it may. */
bool peers_is_over(const struct peers *peers, const struct peer *peer);

unsigned peers_connections(const struct peers *peers);
size_t peers_memory(const struct peers *peers);

#endif
