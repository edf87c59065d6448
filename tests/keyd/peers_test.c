/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Fair shares: CK27 of docs/transit.md, as far as it is here. */

static const struct peer_key alice = { .kind = PEER_UID, .uid = 40001 };
static const struct peer_key bob = { .kind = PEER_UID, .uid = 40002 };
static const struct peer_key unknown = { .kind = PEER_ADDRESS };
static const struct peer_key near = { .kind = PEER_ADDRESS, .address = { 1 } };
static const struct peer_key web = { .kind = PEER_CERT, .cert = "aa" };
static const struct peer_key mail = { .kind = PEER_CERT, .cert = "bb" };

static struct peers *
make(unsigned connections, unsigned reserve, unsigned each, size_t memory)
{
	const struct peers_limits limits = { connections, reserve, each, each,
		memory };
	struct peers *peers = NULL;

	assert_int_equal(peers_new(&limits, &peers), HF_OK);
	return peers;
}

static void
refuses_one_too_many_of_one_peer(void **state)
{
	struct peers *peers = make(100, 0, 2, 0);
	struct peer *p[4];

	(void)state;
	assert_int_equal(peers_join(peers, &alice, &p[0]), HF_OK);
	assert_int_equal(peers_join(peers, &alice, &p[1]), HF_OK);
	assert_int_equal(peers_join(peers, &alice, &p[2]), HF_ERR_BUSY);
	assert_int_equal(peers_join(peers, &bob, &p[3]), HF_OK);
	assert_int_equal(peers_connections(peers), 3);
	peers_leave(peers, p[0]);
	assert_int_equal(peers_join(peers, &alice, &p[2]), HF_OK);
	for (size_t i = 1; i < 4; i++)
		peers_leave(peers, p[i]);
	assert_int_equal(peers_connections(peers), 0);
	peers_free(peers);
}

static void
keeps_a_reserve_for_root_and_for_itself(void **state)
{
	const struct peer_key root = { .kind = PEER_UID, .uid = 0 };
	const struct peer_key self = { .kind = PEER_UID, .uid = geteuid() };
	struct peers *peers = make(4, 2, 100, 0);
	struct peer *p[4], *none;

	(void)state;
	assert_int_equal(peers_join(peers, &alice, &p[0]), HF_OK);
	assert_int_equal(peers_join(peers, &web, &p[1]), HF_OK);
	assert_int_equal(peers_join(peers, &bob, &none), HF_ERR_BUSY);
	assert_int_equal(peers_join(peers, &mail, &none), HF_ERR_BUSY);
	assert_int_equal(peers_join(peers, &unknown, &none), HF_ERR_BUSY);
	assert_int_equal(peers_join(peers, &root, &p[2]), HF_OK);
	assert_int_equal(peers_join(peers, &self, &p[3]), HF_OK);
	assert_int_equal(peers_join(peers, &root, &none), HF_ERR_BUSY);
	for (size_t i = 0; i < 4; i++)
		peers_leave(peers, p[i]);
	peers_free(peers);
}

static void
tells_certificates_apart_and_strangers_not(void **state)
{
	struct peers *peers = make(100, 0, 1, 0);
	struct peer *p[3], *none;

	(void)state;
	assert_int_equal(peers_join(peers, &web, &p[0]), HF_OK);
	assert_int_equal(peers_join(peers, &mail, &p[1]), HF_OK);
	assert_int_equal(peers_join(peers, &web, &none), HF_ERR_BUSY);
	assert_int_equal(peers_join(peers, &unknown, &p[2]), HF_OK);
	assert_int_equal(peers_join(peers, &unknown, &none), HF_ERR_BUSY);
	for (size_t i = 0; i < 3; i++)
		peers_leave(peers, p[i]);
	peers_free(peers);
}

static void
counts_a_connection_where_it_moved_to(void **state)
{
	struct peers *peers = make(2, 0, 1, 0);
	struct peer *first, *second;

	(void)state;
	assert_int_equal(peers_join(peers, &unknown, &first), HF_OK);
	assert_int_equal(peers_move(peers, &first, &web), HF_OK);
	assert_int_equal(peers_connections(peers), 1);
	assert_int_equal(peers_join(peers, &unknown, &second), HF_OK);
	assert_int_equal(peers_move(peers, &second, &web), HF_ERR_BUSY);
	peers_leave(peers, second); /* still counted as unknown */
	peers_leave(peers, first);
	assert_int_equal(peers_connections(peers), 0);
	peers_free(peers);
}

/* Nobody knows them apart from what they come from: one address must not have
 * all the places that others need to come in. */
static void
gives_one_address_half_of_the_places_of_strangers(void **state)
{
	struct peers *peers = make(1000, 0, 40, 0);
	struct peer *p[40], *none;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(peers_join(peers, &unknown, &p[i]), HF_OK);
	assert_int_equal(peers_join(peers, &unknown, &none), HF_ERR_BUSY);
	for (size_t i = 20; i < 40; i++)
		assert_int_equal(peers_join(peers, &near, &p[i]), HF_OK);
	/* All of them together have no more than one peer has. */
	assert_int_equal(peers_move(peers, &p[0], &web), HF_OK);
	assert_int_equal(peers_join(peers, &near, &none), HF_ERR_BUSY);
	peers_leave(peers, p[0]);
	assert_int_equal(peers_join(peers, &unknown, &p[0]), HF_OK);
	for (size_t i = 0; i < 40; i++)
		peers_leave(peers, p[i]);
	assert_int_equal(peers_connections(peers), 0);
	peers_free(peers);
}

static void
gives_one_peer_half_of_the_memory_at_most(void **state)
{
	struct peers *peers = make(10, 0, 10, 100);
	struct peer *a, *b, *c;

	(void)state;
	assert_int_equal(peers_join(peers, &alice, &a), HF_OK);
	assert_int_equal(peers_join(peers, &bob, &b), HF_OK);
	assert_int_equal(peers_join(peers, &web, &c), HF_OK);
	assert_true(peers_charge(peers, a, 50, false));
	assert_false(peers_charge(peers, a, 1, false));
	assert_true(peers_charge(peers, b, 40, false));
	assert_false(peers_charge(peers, c, 11, false));
	assert_true(peers_charge(peers, c, 10, false));
	assert_int_equal(peers_memory(peers), 100);
	assert_true(peers_charge(peers, c, 5, true));
	assert_int_equal(peers_memory(peers), 105);
	peers_discharge(peers, a, 50);
	assert_int_equal(peers_memory(peers), 55);
	peers_discharge(peers, b, 40);
	peers_discharge(peers, c, 15);
	peers_leave(peers, a);
	peers_leave(peers, b);
	peers_leave(peers, c);
	peers_free(peers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_one_too_many_of_one_peer),
		cmocka_unit_test(keeps_a_reserve_for_root_and_for_itself),
		cmocka_unit_test(tells_certificates_apart_and_strangers_not),
		cmocka_unit_test(counts_a_connection_where_it_moved_to),
		cmocka_unit_test(
		    gives_one_address_half_of_the_places_of_strangers),
		cmocka_unit_test(gives_one_peer_half_of_the_memory_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
