# QEMU's virt: its device tree lies at fdt_addr and is changed here, since this U-Boot knows no overlays. The power key
# would take line 3 of the PL061, which is the panel's.
setenv board_args "console=ttyAMA0"
setenv fdt_use ${fdt_addr}
fdt addr ${fdt_use}
fdt resize 400
fdt rm /gpio-keys
fdt set /pl061@9030000 gpio-line-names LED_POWER LED_CLOUD LED_SERVICE BUZZER LED_ALARM BUTTON_MODE BUTTON_ACK BUTTON_RESET

