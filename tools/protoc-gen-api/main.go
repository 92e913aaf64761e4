// Command protoc-gen-api writes docs/api.md, the reference of the operator's API, from the comments of its protobuf
// files. What is unclear on the page is unclear in the proto file, and changed there.
package main

import (
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	protogen.Options{}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		for _, f := range p.Files {
			if !f.Generate {
				continue
			}
			for _, service := range f.Services {
				text, err := write(f, service)
				if err != nil {
					return err
				}
				if _, err := p.NewGeneratedFile("api.md", "").Write([]byte(text)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
