/* SPDX-License-Identifier: Apache-2.0 */
#include "clean.h"

#include "../lib/bytes.h"

size_t
clean_control(struct hf_text t, size_t at)
{
	unsigned char c = (unsigned char)t.ptr[at];

	if (c < ' ' || c == 0x7f)
		return 1;
	return c == 0xc2 && at + 1 < t.len &&
		(unsigned char)t.ptr[at + 1] < 0xa0
	    ? 2
	    : 0;
}

void
clean_print(FILE *out, struct hf_text t, bool lines)
{
	bool utf8 = utf8_valid(t);

	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.ptr[i];
		size_t control = clean_control(t, i);

		if (lines && c == '\n')
			(void)fputc(c, out);
		else if (control > 0 || (!utf8 && c >= 0x80))
			(void)fputc('?', out);
		else
			(void)fputc(c, out);
		if (control == 2)
			i++;
	}
}
