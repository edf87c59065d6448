/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of a master key as somebody types them: what is read at all is
 * written as it can be read again. Parts of the input, cut at "|", are put
 * together as several shares.
 */
#include <stdlib.h>
#include <string.h>

#include "../../keyd/crypto.h"
#include "../../keyd/share.h"
#include "../../lib/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_again(const struct share *share)
{
	AUTO_SECRET text = { 0 };
	struct share again = { 0 };
	struct hf_why why;

	if (share_encode(share, &text) != HF_OK ||
	    share_decode(bytes_of_text(text_of((char *)text.ptr)), &again,
		&why) != HF_OK ||
	    memcmp(share, &again, sizeof(again)) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct share shares[SHARE_COUNT_MAX];
	AUTO_SECRET keys = { 0 };
	struct hf_why why = { "" };
	size_t count = 0;
	enum hf_err err;

	if (crypto_init(&why) != HF_OK)
		abort();
	memset(shares, 0, sizeof(shares));
	while (size > 0 && count < SHARE_COUNT_MAX) {
		const uint8_t *end = memchr(data, '|', size);
		size_t len = end == NULL ? size : (size_t)(end - data);

		err = share_decode(bytes_of(data, len), &shares[count], &why);
		if (err == HF_OK)
			write_again(&shares[count++]);
		else if (why.text[0] == '\0')
			abort();
		data += len + (end != NULL);
		size -= len + (end != NULL);
	}
	why.text[0] = '\0';
	err = shares_combine(shares, count, &keys, &why);
	if ((err == HF_OK) != (why.text[0] == '\0') ||
	    (err == HF_OK) != (keys.len == SHARE_KEYS))
		abort();
	return 0;
}
