module github.com/loop-plugins/loop/plugins/stark

go 1.26.0

require (
	github.com/consensys/gnark-crypto v0.18.1
	pgregory.net/rapid v1.3.0
)

require (
	github.com/bits-and-blooms/bitset v1.20.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
