################################################################################
#
# holdfast
#
################################################################################

HOLDFAST_VERSION = local
HOLDFAST_SITE = $(call qstrip,$(BR2_PACKAGE_HOLDFAST_DIST))
HOLDFAST_SITE_METHOD = local
HOLDFAST_LICENSE = Apache-2.0
# The program is static and made already: nothing of the toolchain is needed.
HOLDFAST_ADD_TOOLCHAIN_DEPENDENCY = NO

define HOLDFAST_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/holdfast $(TARGET_DIR)/usr/bin/holdfast
endef

define HOLDFAST_USERS
	holdfast 990 holdfast 990 * /var/lib/holdfast /bin/false - Holdfast
endef

$(eval $(generic-package))
