module People
  class Person < Base
    def initialize(name)
      @name = name
    end

    def self.build(name)
      new(name)
    end
  end
end
