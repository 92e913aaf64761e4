module github.com/loop-plugins/loop/sdk/go/ocr2

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/loop-plugins/loop v0.0.0-00010101000000-000000000000
	github.com/smartcontractkit/libocr v0.0.0-20250912173940-f3ab0246e23d
	google.golang.org/protobuf v1.36.12
	pgregory.net/rapid v1.3.0
)

require (
	github.com/mr-tron/base58 v1.2.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e // indirect
	google.golang.org/grpc v1.85.0 // indirect
)

replace github.com/loop-plugins/loop => ../../..
