# Nothing that a test does can reach the network of the machine that runs it: there is no device.
# needs: rig
want_equal "$(ls /sys/class/net)" lo
want_equal "$(ip route show table main)" '' 'routes'
