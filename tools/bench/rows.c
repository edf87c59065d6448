/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

/*
 * The rows, with the goals that they have to reach. `all` threads of a cell of
 * the limit are set to the number of cores when it runs (0 here).
 */
/* clang-format off */
const struct row rows[] = {
	{
		.name = "encrypt-1", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, one request at a time",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "raw socket echo",   request_raw,     { .threads = 1 } },
			{ "SP echo",           request_echo,    { .threads = 1 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 1 } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 1, .what = "gcm" } },
		},
		.goals = {
			{ "Holdfast", "SP echo", METRIC_VALUE, false, 0.85 },
		},
	},
	{
		.name = "encrypt-8", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, eight clients",
		.cells = {
			{ "libcrypto, all cores", limit_gcm,    { .threads = 0 } },
			{ "raw socket echo",   request_raw,     { .threads = 8 } },
			{ "SP echo",           request_echo,    { .threads = 8 } },
			{ "Holdfast",          request_encrypt, { .threads = 8, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 8 } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "gcm" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "gcm" } },
		},
		.goals = {
			{ "Holdfast", "SP echo",         METRIC_VALUE, false, 0.75 },
			{ "Holdfast", "raw socket echo", METRIC_VALUE, false, 0.60 },
			{ "Holdfast", "nng REP",         METRIC_VALUE, false, 2.2 },
		},
	},
	{
		.name = "pipelined", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, one client with eight requests in flight",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "SP echo",           request_echo,    { .threads = 1, .depth = 8 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .depth = 8, .what = "bench-aes" } },
			{ "nng REP",           request_nng,     { .threads = 1, .depth = 8 } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "batched", .unit = " items/s",
		.title = "AES-256-GCM, batches of 256 x 1 KiB, one client",
		.cells = {
			{ "libcrypto, 1 core", limit_gcm,       { .threads = 1 } },
			{ "Holdfast",          request_encrypt, { .threads = 1, .items = 256, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, 1 core", METRIC_PER_CPU, false, 0.80 },
		},
	},
	{
		.name = "cores", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, four clients with eight in flight; clients and service on one core, and on two",
		.cells = {
			{ "SP echo, 1 core",   request_echo,    { .threads = 4, .depth = 8, .cores = 1 } },
			{ "SP echo, 2 cores",  request_echo,    { .threads = 4, .depth = 8, .cores = 2 } },
			{ "Holdfast, 1 core",  request_encrypt, { .threads = 4, .depth = 8, .cores = 1, .what = "bench-aes" } },
			{ "Holdfast, 2 cores", request_encrypt, { .threads = 4, .depth = 8, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "cores-batched", .unit = " items/s",
		.title = "Batches of 256 x 1 KiB, four clients; clients and service on one core, and on two",
		.cells = {
			{ "Holdfast, 1 core",  request_encrypt, { .threads = 4, .items = 256, .cores = 1, .what = "bench-aes" } },
			{ "Holdfast, 2 cores", request_encrypt, { .threads = 4, .items = 256, .cores = 2, .what = "bench-aes" } },
		},
		.goals = {
			{ "Holdfast, 2 cores", "Holdfast, 1 core", METRIC_VALUE, false, 1.8 },
		},
	},
	{
		.name = "p256-1", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, one thread",
		.cells = {
			{ "libcrypto, 1 core", limit_p256,      { .threads = 1 } },
			{ "Holdfast",          module_holdfast, { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 1, .what = "p256" } },
		},
		.goals = {
			{ "Holdfast", "p11-kit", METRIC_P50, true, 0.55 },
		},
	},
	{
		.name = "p256-8", .unit = "/s",
		.title = "P-256 signatures through PKCS#11, level wrapped, eight threads of one process",
		.cells = {
			{ "libcrypto, all cores", limit_p256,   { .threads = 0 } },
			{ "Holdfast",          module_holdfast, { .threads = 8, .what = "p256" } },
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "p256" } },
			{ "SoftHSM, x3",       module_softhsm,  { .threads = 3, .what = "p256" } },
			{ "SoftHSM, x8",       module_softhsm,  { .threads = 8, .what = "p256" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "p256" } },
		},
		.goals = {
			{ "Holdfast", "p11-kit",  METRIC_VALUE, false, 6 },
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 1 },
		},
	},
	{
		.name = "rsa", .unit = "/s",
		.title = "RSA-2048 signatures through PKCS#11, level wrapped, eight threads of one process",
		.cells = {
			{ "libcrypto, all cores", limit_rsa,    { .threads = 0 } },
			{ "Holdfast",          module_holdfast, { .threads = 8, .what = "rsa" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "rsa" } },
			{ "p11-kit",           module_p11_kit,  { .threads = 8, .what = "rsa" } },
		},
		.goals = {
			{ "Holdfast", "libcrypto, all cores", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-encrypt", .unit = "/s",
		.title = "AES-256-GCM, 1 KiB, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "gcm" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "gcm" } },
			{ "Holdfast",          request_encrypt, { .threads = 8, .what = "bench-hsm-aes" } },
			{ "Holdfast, pipelined", request_encrypt, { .threads = 4, .depth = 8, .what = "bench-hsm-aes" } },
		},
		.goals = {
			{ "Holdfast, pipelined", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-p256", .unit = "/s",
		.title = "P-256 signatures, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "p256" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "p256" } },
			{ "SoftHSM, x3",       module_softhsm,  { .threads = 3, .what = "p256" } },
			{ "Holdfast",          request_sign,    { .threads = 8, .what = "bench-hsm-p256" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
	{
		.name = "hsm-rsa", .unit = "/s",
		.title = "RSA-2048 signatures, level hsm, eight clients",
		.cells = {
			{ "SoftHSM, x1",       module_softhsm,  { .threads = 1, .what = "rsa" } },
			{ "SoftHSM, x2",       module_softhsm,  { .threads = 2, .what = "rsa" } },
			{ "Holdfast",          request_sign,    { .threads = 8, .what = "bench-hsm-rsa" } },
		},
		.goals = {
			{ "Holdfast", "SoftHSM,", METRIC_VALUE, false, 0.90 },
		},
	},
};
/* clang-format on */

const size_t rows_count = sizeof(rows) / sizeof(rows[0]);

size_t
row_cells(const struct row *row)
{
	size_t n = 0;

	while (n < CELLS_MAX && row->cells[n].who != NULL)
		n++;
	return n;
}

size_t
row_goals(const struct row *row)
{
	size_t n = 0;

	while (n < GOALS_MAX && row->goals[n].who != NULL)
		n++;
	return n;
}
