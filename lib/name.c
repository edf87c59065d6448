/* SPDX-License-Identifier: Apache-2.0 */
#include "name.h"

#include <stddef.h>
#include <stdint.h>

bool
name_valid(struct hf_text name)
{
	/* A bit for each character: 0 to 9, A to Z, a to z; and "-", ".", "_",
	 * which are not in front. */
	static const uint64_t alnum[4] = { UINT64_C(0x03ff) << '0',
		UINT64_C(0x3ffffff) << ('A' - 64) |
		    UINT64_C(0x3ffffff) << ('a' - 64),
		0, 0 };
	static const uint64_t marks[4] = { UINT64_C(3) << '-',
		UINT64_C(1) << ('_' - 64), 0, 0 };
	uint64_t good = 1;

	if (name.len < 1 || name.len > NAME_LONGEST)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = (uint8_t)name.ptr[i];
		uint64_t word = alnum[c / 64] | (i > 0 ? marks[c / 64] : 0);

		good &= word >> c % 64;
	}
	return good != 0;
}
