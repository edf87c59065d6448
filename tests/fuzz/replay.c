/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of its corpus, so that every build and
 * compiler tries them, not only the one with libFuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
run_file(const char *folder, const char *name)
{
	char path[4096];
	FILE *f;
	uint8_t *data = malloc(1 << 20);
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (f == NULL || data == NULL) {
		free(data);
		perror(path);
		return 1;
	}
	n = fread(data, 1, 1 << 20, f);
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	unsigned runs = 0;
	int failed = 0;

	if (dir == NULL) {
		(void)fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 1;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			failed |= run_file(argv[1], entry->d_name);
			runs++;
		}
	(void)closedir(dir);
	(void)printf("%u inputs\n", runs);
	return failed || runs == 0;
}
