package looptest_test

import (
	"context"
	"fmt"
	"regexp"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// greeter is a product that only says what it is.
type greeter struct {
	productv1loop.UnimplementedProductService
}

func (greeter) DescribeProduct(
	context.Context, *productv1.DescribeProductRequest,
) (*productv1.DescribeProductResponse, error) {
	return &productv1.DescribeProductResponse{
		Product: "greeter", OcrVersions: []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3},
		ProviderTypes: []string{"median"},
	}, nil
}

// A test of a plugin calls looptest.Run(t, settings), which judges it by every case. Check does so outside of a test;
// here it judges a plugin by two cases.
func ExampleCheck() {
	plugin := productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return greeter{} })
	results, err := looptest.Check(context.Background(), looptest.Settings{
		Kind: "product", InProcess: &plugin, Run: regexp.MustCompile(`^(init/before|product/description)$`),
	})
	for _, result := range results {
		fmt.Println(result.Name, result.State)
	}
	fmt.Println(err)
	// Output:
	// init/before ok
	// product/description ok
	// <nil>
}
