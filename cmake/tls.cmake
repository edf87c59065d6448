# SPDX-License-Identifier: Apache-2.0
# Where holdfast-tls.so is: in the build for what runs there, in a folder of
# its own below libdir once installed. Who loads it has that folder built in
# (lib/tls_path.c); installing replaces the one by the other.
set(HOLDFAST_TLS_INSTALL_DIR ${CMAKE_INSTALL_LIBDIR}/holdfast)
set(HOLDFAST_TLS_BUILD_DIR ${CMAKE_BINARY_DIR}/lib/holdfast)
set(CMAKE_BUILD_RPATH ${HOLDFAST_TLS_BUILD_DIR})

function(holdfast_finds_tls target)
	set_target_properties(${target} PROPERTIES
		INSTALL_RPATH ${CMAKE_INSTALL_FULL_LIBDIR}/holdfast)
endfunction()
