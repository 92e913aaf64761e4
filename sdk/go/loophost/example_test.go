package loophost_test

import (
	"context"
	"fmt"
	"log/slog"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
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

// A host launches a plugin and calls it. With Command in place of InProcess, the plugin is a process that the runtime
// supervises; nothing else changes.
func Example() {
	ctx := context.Background()
	runtime, err := loophost.New(loophost.Settings{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer runtime.Close(ctx)

	plugin := productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return greeter{} })
	product, err := productv1loophost.LaunchProduct(ctx, runtime,
		loophost.PluginSettings{Name: "greeter", InProcess: &plugin})
	if err != nil {
		fmt.Println(err)
		return
	}
	description, err := product.DescribeProduct(ctx, &productv1.DescribeProductRequest{})
	fmt.Println(description.GetProduct(), err)
	// Output: greeter <nil>
}
