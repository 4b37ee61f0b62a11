"""The native runner that goes onto the device, and how it is built for each ABI."""
