// Command protoc-gen-go-loop generates the thin glue between the contract and the Go SDK: for every package with
// plugin, object or host services, a package <name>v1loop for authors of plugins and a package <name>v1loophost for
// hosts.
//
// It reads the contract's options by reflection over the descriptors of the request, not from generated Go, so that a
// checkout with an empty gen/ can still generate.
package main

import (
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	protogen.Options{}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		contract, err := read(p)
		if err != nil {
			return err
		}
		for _, f := range p.Files {
			if !f.Generate {
				continue
			}
			pluginSide(p, f, contract)
			hostSide(p, f, contract)
		}
		return nil
	})
}
