# Raspberry Pi: the firmware has put the device tree, with the panel's overlay in it, where fdt_addr says.
setenv board_args "console=tty0 console=ttyS1,115200"
setenv fdt_use ${fdt_addr}

