/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_internal.h"

/*
 * What each return value of PKCS#11 (2.40, section 11.1) means here. A code
 * that is not in the table is ambiguous: a known answer then tells whether the
 * token is sick. That holds for vendors' codes (from 0x80000000) too, so that
 * odd data, which some vendors answer with a code of their own, cannot make
 * us tear down a healthy connection.
 */
/* clang-format off */
#define ROW(code, class, err) { CKR_##code, "CKR_" #code, CLASS_##class, err }

static const struct ckr_row rows[] = {
	ROW(OK,                             OK,        HF_OK),
	ROW(DATA_INVALID,                   DATA,      HF_ERR_BAD_INPUT),
	ROW(DATA_LEN_RANGE,                 DATA,      HF_ERR_BAD_INPUT),
	ROW(ENCRYPTED_DATA_INVALID,         DATA,      HF_ERR_AUTH_FAILED),
	ROW(ENCRYPTED_DATA_LEN_RANGE,       DATA,      HF_ERR_AUTH_FAILED),
	ROW(SIGNATURE_INVALID,              DATA,      HF_ERR_SIGNATURE_WRONG),
	ROW(SIGNATURE_LEN_RANGE,            DATA,      HF_ERR_SIGNATURE_WRONG),
	ROW(WRAPPED_KEY_INVALID,            DATA,      HF_ERR_AUTH_FAILED),
	ROW(WRAPPED_KEY_LEN_RANGE,          DATA,      HF_ERR_AUTH_FAILED),
	ROW(MECHANISM_INVALID,              DATA,      HF_ERR_HSM_MECHANISM),
	ROW(MECHANISM_PARAM_INVALID,        DATA,      HF_ERR_HSM_MECHANISM),
	ROW(FUNCTION_NOT_SUPPORTED,         DATA,      HF_ERR_HSM_MECHANISM),
	ROW(KEY_SIZE_RANGE,                 DATA,      HF_ERR_HSM_MECHANISM),
	ROW(KEY_TYPE_INCONSISTENT,          DATA,      HF_ERR_HSM_MECHANISM),
	ROW(KEY_NOT_WRAPPABLE,              DATA,      HF_ERR_HSM_MECHANISM),
	ROW(KEY_UNEXTRACTABLE,              DATA,      HF_ERR_HSM_MECHANISM),
	ROW(WRAPPING_KEY_SIZE_RANGE,        DATA,      HF_ERR_HSM_MECHANISM),
	ROW(WRAPPING_KEY_TYPE_INCONSISTENT, DATA,      HF_ERR_HSM_MECHANISM),
	ROW(UNWRAPPING_KEY_SIZE_RANGE,      DATA,      HF_ERR_HSM_MECHANISM),
	ROW(UNWRAPPING_KEY_TYPE_INCONSISTENT, DATA,    HF_ERR_HSM_MECHANISM),
	ROW(DOMAIN_PARAMS_INVALID,          DATA,      HF_ERR_HSM_MECHANISM),
	ROW(CURVE_NOT_SUPPORTED,            DATA,      HF_ERR_HSM_MECHANISM),
	ROW(RANDOM_NO_RNG,                  DATA,      HF_ERR_HSM_MECHANISM),
	ROW(KEY_FUNCTION_NOT_PERMITTED,     DATA,      HF_ERR_HSM_REFUSED),
	ROW(KEY_NOT_NEEDED,                 DATA,      HF_ERR_HSM_REFUSED),
	ROW(KEY_NEEDED,                     DATA,      HF_ERR_HSM_REFUSED),
	ROW(KEY_INDIGESTIBLE,               DATA,      HF_ERR_HSM_REFUSED),
	ROW(ACTION_PROHIBITED,              DATA,      HF_ERR_HSM_REFUSED),
	ROW(ATTRIBUTE_READ_ONLY,            DATA,      HF_ERR_HSM_REFUSED),
	ROW(ATTRIBUTE_SENSITIVE,            DATA,      HF_ERR_HSM_REFUSED),
	ROW(ATTRIBUTE_TYPE_INVALID,         DATA,      HF_ERR_HSM_REFUSED),
	ROW(ATTRIBUTE_VALUE_INVALID,        DATA,      HF_ERR_HSM_REFUSED),
	ROW(TEMPLATE_INCOMPLETE,            DATA,      HF_ERR_HSM_REFUSED),
	ROW(TEMPLATE_INCONSISTENT,          DATA,      HF_ERR_HSM_REFUSED),
	ROW(ARGUMENTS_BAD,                  DATA,      HF_ERR_HSM_REFUSED),
	ROW(BUFFER_TOO_SMALL,               DATA,      HF_ERR_HSM_REFUSED),
	ROW(SESSION_READ_ONLY,              DATA,      HF_ERR_HSM_REFUSED),
	ROW(TOKEN_WRITE_PROTECTED,          DATA,      HF_ERR_HSM_REFUSED),
	ROW(FUNCTION_REJECTED,              DATA,      HF_ERR_HSM_REFUSED),
	ROW(SESSION_COUNT,                  DATA,      HF_ERR_BUSY),
	ROW(GENERAL_ERROR,                  AMBIGUOUS, HF_ERR_HSM_REFUSED),
	ROW(FUNCTION_FAILED,                AMBIGUOUS, HF_ERR_HSM_REFUSED),
	ROW(SESSION_HANDLE_INVALID,         SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(SESSION_CLOSED,                 SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(OPERATION_ACTIVE,               SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(OPERATION_NOT_INITIALIZED,      SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(FUNCTION_CANCELED,              SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(CANCEL,                         SESSION,   HF_ERR_HSM_UNAVAILABLE),
	ROW(OBJECT_HANDLE_INVALID,          HANDLE,    HF_ERR_HSM_REFUSED),
	ROW(KEY_HANDLE_INVALID,             HANDLE,    HF_ERR_HSM_REFUSED),
	ROW(KEY_CHANGED,                    HANDLE,    HF_ERR_HSM_REFUSED),
	ROW(WRAPPING_KEY_HANDLE_INVALID,    HANDLE,    HF_ERR_HSM_REFUSED),
	ROW(UNWRAPPING_KEY_HANDLE_INVALID,  HANDLE,    HF_ERR_HSM_REFUSED),
	ROW(USER_NOT_LOGGED_IN,             LOGIN,     HF_ERR_HSM_UNAVAILABLE),
	ROW(PIN_INCORRECT,                  PIN,       HF_ERR_HSM_PIN),
	ROW(PIN_INVALID,                    PIN,       HF_ERR_HSM_PIN),
	ROW(PIN_LEN_RANGE,                  PIN,       HF_ERR_HSM_PIN),
	ROW(PIN_EXPIRED,                    PIN,       HF_ERR_HSM_PIN),
	ROW(PIN_LOCKED,                     PIN,       HF_ERR_HSM_PIN),
	ROW(USER_PIN_NOT_INITIALIZED,       DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(DEVICE_ERROR,                   DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(DEVICE_REMOVED,                 DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(DEVICE_MEMORY,                  DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(HOST_MEMORY,                    DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(TOKEN_NOT_PRESENT,              DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(TOKEN_NOT_RECOGNIZED,           DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(CRYPTOKI_NOT_INITIALIZED,       DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(SLOT_ID_INVALID,                DEVICE,    HF_ERR_HSM_UNAVAILABLE),
	ROW(FIPS_SELF_TEST_FAILED,          DEVICE,    HF_ERR_HSM_UNAVAILABLE),
};
static const struct ckr_row other = { CKR_VENDOR_DEFINED,
	"a code that PKCS#11 does not define", CLASS_AMBIGUOUS,
	HF_ERR_HSM_REFUSED };
/* clang-format on */

const struct ckr_row *
ckr_row(CK_RV rv)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].rv == rv)
			return &rows[i];
	return &other;
}
