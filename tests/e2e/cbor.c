/* SPDX-License-Identifier: Apache-2.0 */
/* cbor encode|decode: between diagnostic notation and bytes, for nngcat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"

static char *
read_all(size_t *len)
{
	char *buf = NULL, chunk[65536];
	FILE *f = open_memstream(&buf, len);
	size_t n;

	if (f == NULL)
		return NULL;
	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
		(void)fwrite(chunk, 1, n, f);
	return fclose(f) == 0 ? buf : NULL;
}

int
main(int argc, char **argv)
{
	bool encode = argc == 2 && strcmp(argv[1], "encode") == 0;
	size_t len = 0;
	bool done;
	char *in, *out;

	if (!encode && (argc != 2 || strcmp(argv[1], "decode") != 0))
		return fputs("usage: cbor encode|decode\n", stderr) < 0 ? 2 : 1;
	if ((in = read_all(&len)) == NULL)
		return 1;
	out = encode ? (char *)diag_encode(in, &len)
		     : diag_decode((const uint8_t *)in, len);
	if (out != NULL && encode)
		(void)fwrite(out, 1, len, stdout);
	else if (out != NULL)
		(void)puts(out);
	else
		(void)fputs("that is not CBOR of ours\n", stderr);
	done = out != NULL && fclose(stdout) == 0;
	free(in);
	free(out);
	return done ? 0 : 1;
}
