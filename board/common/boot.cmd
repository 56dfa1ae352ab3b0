# Which slot boots, and how often a new one is tried. The format of the state and the order of its switches are
# described in board/README.md, "Boot state". The board's own boot.cmd stands before this text and sets
# board_args and fdt_use; devtype, devnum and distro_bootpart come from U-Boot.
#
# Only what both of Debian's U-Boots (qemu_arm64, rpi_arm64) have is used: no FIT, no bootcount, no fdt overlays.
# setexpr and itest read and write hexadecimal numbers.

setenv dev "${devtype} ${devnum}:${distro_bootpart}"
setexpr buffer ${kernel_addr_r} + 0x8000000

# --- Read both files; the one that counts ends in at, seq, slot, good, tries, failed.
setenv check_values 'setenv sound 1; if test "${slot}" = a || test "${slot}" = b; then true; else setenv sound 0; fi; if test "${good}" = a || test "${good}" = b; then true; else setenv sound 0; fi; if test "${tries}" = 0 || test "${tries}" = 1 || test "${tries}" = 2; then true; else setenv sound 0; fi; if test "${failed}" = 0 || test "${failed}" = a || test "${failed}" = b; then true; else setenv sound 0; fi'
setenv read_state 'setenv sound 0; mw.b ${buffer} 0 200; setenv filesize 0; if load ${dev} ${buffer} state/${n}; then if itest ${filesize} == 200 && env import -c ${buffer} 200 seq slot good tries failed; then run check_values; fi; fi'
setenv best_seq 0
setenv at 1
setenv best_slot a
setenv best_good a
setenv best_tries 0
for n in 0 1; do
	run read_state
	if itest ${sound} == 1 && itest 0x${seq} -gt 0x${best_seq}; then
		setenv at ${n}
		setenv best_seq ${seq}
		setenv best_slot ${slot}
		setenv best_good ${good}
		setenv best_tries ${tries}
		setenv best_failed ${failed}
	fi
done
setenv seq ${best_seq}
setenv slot ${best_slot}
setenv good ${best_good}
setenv tries ${best_tries}
setenv failed 0
if test -n "${best_failed}"; then setenv failed ${best_failed}; fi

# --- Write the other file. "written" says whether it worked; it is read back, so that a card that refuses writes is noticed.
setenv write_state 'setenv written 0; if test ${at} = 0; then setenv at 1; else setenv at 0; fi; setexpr seq 0x${seq} + 1; mw.b ${buffer} 0 200; if env export -c -s 200 ${buffer} seq slot good tries failed && fatwrite ${dev} ${buffer} state/${at} 200; then setenv wanted ${seq}; setenv n ${at}; run read_state; if itest ${sound} == 1 && test ${seq} = ${wanted}; then setenv written 1; fi; fi'

# --- Start a slot: the file's checksum is looked at before anything of it runs. It comes back only when the slot is damaged. The kernel's
# tests of its own ciphers are left out: they take an emulated board a second.
setenv start 'echo "holdfast: slot ${slot} ${trial_args}"; if load ${dev} ${buffer} slot-${slot}/boot.img && imxtract ${buffer} 0 && unzip ${fileaddr} ${kernel_addr_r} && imxtract ${buffer} 1; then setenv bootargs "${board_args} quiet panic=5 cryptomgr.notests holdfast.slot=${slot} ${trial_args}"; booti ${kernel_addr_r} ${fileaddr}:${filesize} ${fdt_use}; fi; echo "holdfast: slot ${slot} is damaged"'

setenv trial_args
if test ${slot} != ${good}; then
	if itest ${tries} > 0; then
		setexpr tries ${tries} - 1
		run write_state
		if itest ${written} == 1; then
			setenv trial_args holdfast.trial=1
			run start
			reset
		fi
		echo "holdfast: the state cannot be written, so nothing new is tried"
		setenv slot ${good}
	else
		setenv failed ${slot}
		setenv slot ${good}
		run write_state
		setenv slot ${good}
	fi
fi
run start
if test ${slot} = a; then setenv slot b; else setenv slot a; fi
run start
echo "holdfast: neither slot can be started; flash the card anew"
sleep 30
reset
