# SPDX-License-Identifier: Apache-2.0
# What is installed where (FHS), apart from the library, which lib/ installs,
# and the command line tool, which tools/ installs; and the Debian package.
install(TARGETS holdfast-keyd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})

# The PKCS#11 module, where p11-kit and those who know it look for modules.
if(TARGET holdfast-pkcs11)
	install(TARGETS holdfast-pkcs11
		LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkcs11)
	# p11-kit finds a name without folder in its own one.
	file(READ conf/holdfast.module module)
	if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
		string(REPLACE "module: " "module: ${CMAKE_INSTALL_FULL_LIBDIR}/pkcs11/"
			module "${module}")
	endif()
	file(WRITE ${CMAKE_BINARY_DIR}/conf/holdfast.module "${module}")
	install(FILES ${CMAKE_BINARY_DIR}/conf/holdfast.module
		DESTINATION ${CMAKE_INSTALL_DATADIR}/p11-kit/modules)
	install(FILES conf/pkcs11.conf
		DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/holdfast)
	install(FILES docs/man/holdfast-pkcs11.7
		DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
endif()

install(FILES conf/keyd.conf
	DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/holdfast)
# Not *.hcl: an example must not come into force by being installed.
install(DIRECTORY conf/policy.d
	DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/holdfast
	FILES_MATCHING PATTERN "*.example")
install(FILES conf/holdfast.logrotate
	DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/logrotate.d RENAME holdfast)

# Where systemd looks, whatever the prefix's lib directory is called.
file(READ conf/holdfast-keyd.service unit)
string(REPLACE "/usr/sbin/" "${CMAKE_INSTALL_FULL_SBINDIR}/" unit "${unit}")
string(REPLACE "/etc/holdfast/" "${CMAKE_INSTALL_FULL_SYSCONFDIR}/holdfast/"
	unit "${unit}")
file(WRITE ${CMAKE_BINARY_DIR}/conf/holdfast-keyd.service "${unit}")
install(FILES ${CMAKE_BINARY_DIR}/conf/holdfast-keyd.service
	DESTINATION lib/systemd/system)
install(FILES conf/holdfast.sysusers
	DESTINATION lib/sysusers.d RENAME holdfast.conf)
install(FILES conf/holdfast.tmpfiles
	DESTINATION lib/tmpfiles.d RENAME holdfast.conf)

install(FILES docs/man/holdfast-keyd.8
	DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES docs/man/keyd.conf.5 docs/man/holdfast-policy.5
	DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES README.md SECURITY.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs
	FILES_MATCHING PATTERN "*.md" PATTERN "*.cddl" PATTERN "*.c" PATTERN "*.svg"
	PATTERN "man" EXCLUDE)

# -- cpack -G DEB, in a build configured with CMAKE_INSTALL_PREFIX=/usr --
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME holdfast)
set(CPACK_PACKAGE_VENDOR "The Holdfast authors")
# Who builds a package answers for it, and says so as for Debian's own tools.
# The project itself takes reports where it is hosted (SECURITY.md), not by mail.
if(DEFINED ENV{DEBFULLNAME} AND DEFINED ENV{DEBEMAIL})
	set(CPACK_PACKAGE_CONTACT "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
else()
	set(CPACK_PACKAGE_CONTACT
		"The Holdfast authors <no-mail@holdfast.invalid>")
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_SET_DESTDIR ON) # /etc is outside of the prefix
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "systemd, logrotate")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "softhsm2, opensc")
set(CPACK_PACKAGE_DESCRIPTION
"A daemon keeps a hierarchy of keys whose root lives in an HSM, and encrypts,
signs and manages keys for local programs. The kernel tells it who asks;
policy files decide what they may; every operation is written to a chained,
signed audit log.
This package has the daemon, the command line tool, the client library and the
PKCS#11 module.")

# /etc belongs to the administrator: dpkg asks before it replaces a file there.
set(CONFFILES /etc/holdfast/keyd.conf /etc/holdfast/pkcs11.conf
	/etc/logrotate.d/holdfast)
file(GLOB examples CONFIGURE_DEPENDS conf/policy.d/*.example)
foreach(example ${examples})
	get_filename_component(file ${example} NAME)
	list(APPEND CONFFILES /etc/holdfast/policy.d/${file})
endforeach()
list(JOIN CONFFILES "\n" CONFFILES)
file(WRITE ${CMAKE_BINARY_DIR}/debian/conffiles "${CONFFILES}\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/debian/conffiles
	${CMAKE_SOURCE_DIR}/conf/debian/postinst
	${CMAKE_SOURCE_DIR}/conf/debian/prerm
	${CMAKE_SOURCE_DIR}/conf/debian/postrm)

include(CPack)
