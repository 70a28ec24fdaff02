# Two applications in one release.
defmodule Umbrella.MixProject do
  use Mix.Project

  def project do
    [
      apps_path: "apps",
      version: "@VSN@",
      releases: [umbrella: [version: "@VSN@", applications: [front: :permanent], steps: [:assemble, :tar]]]
    ]
  end
end
