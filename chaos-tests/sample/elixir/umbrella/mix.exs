# Two applications in one release, and the release handler.
defmodule Umbrella.MixProject do
  use Mix.Project

  def project do
    [
      apps_path: "apps",
      version: "@VSN@",
      releases: [umbrella: [version: "@VSN@", applications: [sasl: :permanent, front: :permanent], steps: [:assemble, :tar]]]
    ]
  end
end
