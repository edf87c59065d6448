/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_P11_REAL_H
#define TESTS_P11_REAL_H

#include <dlfcn.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

/* The functions of the module that a shim stands before; NULL: SoftHSM. */
static inline CK_RV
p11_real(const char *path, CK_FUNCTION_LIST **out)
{
	void *module =
	    dlopen(path == NULL ? "/usr/lib/softhsm/libsofthsm2.so" : path,
		RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *symbol =
	    module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
	CK_C_GetFunctionList get;

	if (symbol == NULL)
		return CKR_GENERAL_ERROR;
	memcpy(&get, &symbol, sizeof(get)); /* ISO C has no such cast */
	return get(out);
}

#endif
