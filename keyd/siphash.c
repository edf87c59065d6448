/* SPDX-License-Identifier: Apache-2.0 */
#include "siphash.h"

#include <stddef.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t
rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* Little-endian; `len` up to 8. */
static uint64_t
load(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* The same for eight; written so that it becomes one instruction. */
static uint64_t
load8(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
	    (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
	    (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static void
rounds(struct state *s, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void
take(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	rounds(s, 2);
	s->v0 ^= word;
}

uint64_t
siphash(const uint8_t seed[16], struct hf_bytes in)
{
	uint64_t k0 = load8(seed), k1 = load8(seed + 8);
	struct state s = { /* "somepseudorandomlygeneratedbytes" */
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573)
	};
	size_t whole = in.len - in.len % 8;

	for (size_t i = 0; i < whole; i += 8)
		take(&s, load8(in.ptr + i));
	take(&s, load(in.ptr + whole, in.len - whole) | (uint64_t)in.len << 56);
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
