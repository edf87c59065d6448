# SPDX-License-Identifier: Apache-2.0
# holdfast_flags: what every target of ours is compiled with.
add_library(holdfast_flags INTERFACE)
target_include_directories(holdfast_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(holdfast_flags INTERFACE _GNU_SOURCE
	HOLDFAST_VERSION="${PROJECT_VERSION}")
target_compile_options(holdfast_flags INTERFACE
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
	-Wcast-qual -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wwrite-strings -Wvla -Walloca -Wformat=2
	-Wundef -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference
	-Wunused-macros -fno-common -fno-strict-aliasing)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(holdfast_flags INTERFACE -Wformat-signedness
		-Wduplicated-cond -Wduplicated-branches -Wlogical-op
		-Warith-conversion -Wcast-align=strict)
endif()
if(HOLDFAST_WERROR)
	target_compile_options(holdfast_flags INTERFACE -Werror)
endif()

if(HOLDFAST_SANITIZE)
	target_compile_options(holdfast_flags INTERFACE
		-fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize-recover=all
		-fno-omit-frame-pointer -g -O1)
	target_link_options(holdfast_flags INTERFACE
		-fsanitize=${HOLDFAST_SANITIZE})
else()
	target_compile_options(holdfast_flags INTERFACE
		-fstack-protector-strong -fstack-clash-protection
		-fcf-protection)
	if(CMAKE_BUILD_TYPE MATCHES "Rel")
		target_compile_options(holdfast_flags INTERFACE
			-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
	endif()
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		target_compile_options(holdfast_flags INTERFACE
			-fzero-call-used-regs=used-gpr
			-ftrivial-auto-var-init=zero)
	endif()
	target_link_options(holdfast_flags INTERFACE
		-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
endif()
if(HOLDFAST_FUZZ)
	# So that the fuzzer sees which branches of ours an input takes.
	target_compile_options(holdfast_flags INTERFACE
		-fsanitize=fuzzer-no-link)
	target_link_options(holdfast_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HOLDFAST_COVERAGE)
	# Threads count the same lines.
	target_compile_options(holdfast_flags INTERFACE --coverage -O0 -g
		-fprofile-update=atomic)
	target_compile_definitions(holdfast_flags INTERFACE HOLDFAST_COVERAGE)
	target_link_options(holdfast_flags INTERFACE --coverage)
endif()

include(CheckPIESupported)
check_pie_supported()
