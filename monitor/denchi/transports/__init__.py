"""Ways to a device: USB HID and bulk, serial, Bluetooth LE, sysfs, emulated. Bytes in, bytes out."""
