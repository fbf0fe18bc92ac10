# `docker buildx bake -f docker/docker-bake.hcl mer` builds a paper's image, `... papers` one for each of the five,
# and without a name one with all papers that are in the tree.
# Variables of the same names in the environment win: WHEELS=cpu docker buildx bake -f docker/docker-bake.hcl mer

variable "BASE_IMAGE" {
  default = "python:3.11-slim-bookworm"
}

variable "WHEELS" {
  default = "auto"
}

variable "PIP_EXTRA_INDEX_URL" {
  default = ""
}

# A pip.conf that names your mirror, if you need one; it is in no layer.
variable "PIP_CONF" {
  default = ""
}

# What the records made in the image name as their code: COMMIT=$(git rev-parse HEAD)
variable "COMMIT" {
  default = ""
}

variable "NAME" {
  default = "cl-repro"
}

group "default" {
  targets = ["all"]
}

target "image" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  args = {
    BASE_IMAGE          = BASE_IMAGE
    WHEELS              = WHEELS
    PIP_EXTRA_INDEX_URL = PIP_EXTRA_INDEX_URL
    COMMIT              = COMMIT
  }
  secret = PIP_CONF == "" ? [] : ["id=pip,src=${PIP_CONF}"]
}

target "papers" {
  name     = paper
  inherits = ["image"]
  matrix = {
    paper = ["mer", "tag", "ta_agem", "rewire", "hvcl"]
  }
  target = paper
  tags   = ["${NAME}:${paper}"]
}

# Every paper in one image; environments share their equal files.
target "all" {
  inherits = ["image"]
  target   = "all"
  tags     = ["${NAME}:all", "${NAME}:latest"]
}
