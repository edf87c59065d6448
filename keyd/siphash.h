/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SIPHASH_H
#define KEYD_SIPHASH_H

#include <stdint.h>

#include <holdfast/bytes.h>

/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash of short inputs for hash
 * tables whose keys a stranger chooses. Who does not know `seed` cannot find
 * names that collide.
 */
uint64_t siphash(const uint8_t seed[16], struct hf_bytes in);

#endif
