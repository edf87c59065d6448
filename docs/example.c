/* SPDX-License-Identifier: Apache-2.0 */
/* cc example.c $(pkg-config --cflags --libs holdfast) -o example */
#include <holdfast/holdfast.h>

#include <stdio.h>

int
main(int argc, char **argv)
{
	struct hf_encrypt_in in = { .name = hf_text_of("payments"),
		.item.plaintext = hf_bytes_of("4111 1111 1111 1111", 19) };
	struct hf_decrypt_in back = { .name = in.name };
	struct hf_encrypt_out sealed;
	struct hf_decrypt_out opened;
	struct hf_client *client = NULL;
	struct hf_why why;
	enum hf_err err;

	/* The socket, or NULL for the usual one; 5 seconds for each call. */
	err = hf_connect(argc > 1 ? argv[1] : NULL, 5000, &client, &why);
	if (err == HF_OK)
		err = hf_transit_encrypt(client, &in, &sealed, &why);
	if (err == HF_OK) {
		back.item.ciphertext = sealed.result.ciphertext;
		err = hf_transit_decrypt(client, &back, &opened, &why);
	}
	if (err == HF_OK)
		(void)fwrite(opened.result.plaintext.ptr, 1,
		    opened.result.plaintext.len, stdout);
	else
		(void)fprintf(stderr, "%s\n", why.text);
	hf_close(client);
	return err == HF_OK ? 0 : 1;
}
