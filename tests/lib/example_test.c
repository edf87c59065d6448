/* SPDX-License-Identifier: Apache-2.0 */
/* The example of the documents compiles, and does what it says. */
int example_main(int argc, char **argv);

#define main example_main
#include "../../docs/example.c"
#undef main

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../fake/server.h"

static enum server_act
echo(struct server *s, struct server_request *r)
{
	(void)s;
	assert_non_null(r->in);
	if (r->op->id == OP_transit_encrypt) {
		const struct hf_encrypt_in *in = r->in;
		struct hf_encrypt_out out = { .result.ciphertext =
						  in->item.plaintext };

		server_answer(r, &out);
	} else {
		const struct hf_decrypt_in *in = r->in;
		struct hf_decrypt_out out = { .result.plaintext =
						  in->item.ciphertext };

		server_answer(r, &out);
	}
	return ACT_REPLY;
}

static void
the_example_gets_its_plaintext_back(void **state)
{
	struct server *s = server_start(echo, NULL);
	char *argv[] = { NULL, s->path, NULL };
	char got[64] = "";
	FILE *shown = tmpfile();
	int out = dup(1);

	(void)state;
	assert_non_null(shown);
	(void)fflush(stdout);
	assert_int_equal(dup2(fileno(shown), 1), 1);
	assert_int_equal(example_main(2, argv), 0);
	(void)fflush(stdout);
	assert_int_equal(dup2(out, 1), 1);
	(void)close(out);
	rewind(shown);
	assert_int_equal(fread(got, 1, sizeof(got) - 1, shown), 19);
	assert_string_equal(got, "4111 1111 1111 1111");
	(void)fclose(shown);
	assert_int_equal(atomic_load(&s->requests), 2);
	server_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_gets_its_plaintext_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
